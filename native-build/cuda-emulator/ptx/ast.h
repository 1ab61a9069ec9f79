// SPDX-License-Identifier: Apache-2.0
// A PTX module as written: names of registers, labels and scoped variables resolved, instructions not yet understood.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace lacuna::emulator::ptx {

enum class Type : std::uint8_t {
  NONE, PRED, U8, U16, U32, U64, S8, S16, S32, S64, B8, B16, B32, B64, B128, F16, F16X2, BF16, BF16X2, F32, F64, TF32
};

/// NONE when the word is no type.
Type typeNamed(const std::string& word);
unsigned bytesOf(Type type);
inline bool isSigned(Type t) { return t >= Type::S8 && t <= Type::S64; }
inline bool isFloat(Type t) { return t >= Type::F16; }

enum class Space : std::uint8_t { GLOBAL, CONST, SHARED, LOCAL, PARAM };

struct Variable {
  std::string name;
  Space space;
  Type type;
  unsigned alignment;
  std::uint64_t bytes;  ///< 0 for an array of unknown length
  bool external = false;
  unsigned line = 0;
  std::vector<std::uint8_t> initial;
  struct Relocation {
    std::uint64_t offset;
    std::string symbol;
    std::int64_t addend;
    bool generic;
  };
  std::vector<Relocation> relocations;
};

struct Operand {
  enum Kind : std::uint8_t {
    REGISTER,  ///< index
    LOCAL,     ///< a variable of the function: index into its variables, plus offset
    SYMBOL,    ///< a module variable, a parameter of the entry, a special register, a label or a function
    INTEGER,
    FLOAT32,
    FLOAT64,
    VECTOR,
    ADDRESS,  ///< elements[0] is the base, plus offset
    LABEL,    ///< index
    SINK
  };
  Kind kind = SINK;
  bool negated = false;
  unsigned index = 0;
  std::int64_t integer = 0;  ///< value, offset of an address, or the bits of a float
  std::string name;
  std::vector<Operand> elements;
  /// p|q: the second destination
  std::vector<Operand> second;
};

struct Instruction {
  unsigned line = 0;
  int guard = -1;
  bool guardNegated = false;
  std::string opcode;
  std::vector<std::string> modifiers;
  std::vector<Operand> operands;
};

struct Function {
  std::string name;
  bool entry = false;
  bool defined = false;
  unsigned line = 0;
  std::vector<Variable> parameters;
  std::vector<Variable> results;
  std::vector<Type> registers;
  std::vector<Variable> variables;  ///< parameters and results of a .func first, then all declared inside
  std::vector<Instruction> body;
  std::vector<unsigned> labels;  ///< index of the instruction each label stands before
  std::vector<std::vector<unsigned>> branchTables;
  std::map<unsigned, unsigned> tableOfLabel;
  unsigned maxThreads = 0;
};

struct Module {
  unsigned version = 0;
  unsigned target = 0;
  std::vector<Variable> variables;
  std::vector<Function> functions;
};

/// Throws PtxError.
Module parse(std::string_view text);

std::string describe(const Instruction& instruction);

}  // namespace lacuna::emulator::ptx
