// SPDX-License-Identifier: Apache-2.0
// What the decoders of single instructions use.
#pragma once

#include <string_view>
#include <unordered_map>

#include "../ptx/ast.h"
#include "lanes.h"
#include "program.h"

namespace lacuna::emulator {

using ptx::Operand;
using ptx::Space;
using ptx::Type;

/// Where names lead; filled per kernel by lower.cpp.
class Names {
 public:
  virtual ~Names() = default;
  virtual Ref registerAt(unsigned index) = 0;
  virtual Type registerType(unsigned index) = 0;
  virtual Ref constant(std::uint64_t bits, unsigned width) = 0;
  /// Space and address in it of a variable.
  struct Place {
    Space space;
    std::uint64_t address;
    std::uint64_t bytes;
    bool entryParameter;
  };
  virtual Place variable(const Operand& operand, unsigned line) = 0;
  virtual unsigned extra(std::uint32_t value) = 0;  ///< index of the new entry of Program::extras
};

/// One instruction on its way from text to Instr.
class Decoder {
 public:
  Decoder(const ptx::Instruction& in, Names& names);

  const ptx::Instruction& in;
  Names& names;
  Instr out;

  [[noreturn]] void fail(const std::string& what) const;

  /// True, and the modifier counts as understood, when it is there.
  bool has(std::string_view modifier);
  /// The first of the modifiers that is there, by its place in the list, or -1.
  int oneOf(std::initializer_list<std::string_view> modifiers);
  void ignore(std::initializer_list<std::string_view> modifiers);
  /// The first modifier that nobody asked for yet; empty when none is left.
  std::string next();
  /// The next modifier that is a type.
  Type type();
  Type typeOrNone();
  /// Refuses modifiers that nobody asked for.
  void finish() const;

  void operands(std::size_t least, std::size_t most = 0) const;
  const Operand& operand(std::size_t k) const { return in.operands[k]; }

  static unsigned width(Type type);  ///< of its register: 2, 4 or 8 bytes; 1-byte types live in 2
  Ref source(const Operand& o, Type type);
  Ref source(std::size_t k, Type type) { return source(in.operands.at(k), type); }
  Ref destination(const Operand& o, Type type);
  Ref destination(std::size_t k, Type type) { return destination(in.operands.at(k), type); }
  Ref predicate(const Operand& o);       ///< source; a constant is allowed
  Ref predicateOut(const Operand& o);    ///< NO_REF for a sink
  /// Any register; its width goes to bytes.
  Ref anyRegister(const Operand& o, unsigned& bytes);
  std::int64_t immediate(std::size_t k) const;
  /// Sets a, offset and address32 from [base+offset]; the place when the base is a variable.
  void address(std::size_t k, Space& space, bool& entryParameter);

 private:
  std::vector<bool> used_;
};

using Decode = void (*)(Decoder&);
/// Null for an opcode nobody knows.
Decode decoderOf(const std::string& opcode);

using DecodeTable = std::unordered_map<std::string, Decode>;
void addInteger(DecodeTable& table);
void addFloat(DecodeTable& table);
void addConvert(DecodeTable& table);
void addCompare(DecodeTable& table);
void addMove(DecodeTable& table);
void addMemory(DecodeTable& table);
void addAtomic(DecodeTable& table);
void addControl(DecodeTable& table);
void addWarp(DecodeTable& table);
void addAsync(DecodeTable& table);
void addMatrix(DecodeTable& table);

/// Calls f with a value of the C++ type that a PTX integer type stands for; bit types are unsigned.
template <class F>
auto withInteger(Type t, F f) {
  switch (t) {
    case Type::S16: return f(std::int16_t{});
    case Type::U16: case Type::B16: return f(std::uint16_t{});
    case Type::S32: return f(std::int32_t{});
    case Type::U32: case Type::B32: return f(std::uint32_t{});
    case Type::S64: return f(std::int64_t{});
    default: return f(std::uint64_t{});
  }
}
inline bool isInteger(Type t) {
  return t == Type::S16 || t == Type::U16 || t == Type::B16 || t == Type::S32 || t == Type::U32 || t == Type::B32 ||
         t == Type::S64 || t == Type::U64 || t == Type::B64;
}

}  // namespace lacuna::emulator
