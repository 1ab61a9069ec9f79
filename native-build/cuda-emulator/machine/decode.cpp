// SPDX-License-Identifier: Apache-2.0
#include "decode.h"

#include <bit>

namespace lacuna::emulator {

Decoder::Decoder(const ptx::Instruction& instruction, Names& n) : in(instruction), names(n), used_(instruction.modifiers.size(), false) {
  out.line = instruction.line;
}

void Decoder::fail(const std::string& what) const { throw PtxError(in.line, ptx::describe(in) + ": " + what); }

bool Decoder::has(std::string_view modifier) {
  for (std::size_t k = 0; k < used_.size(); k++) {
    if (!used_[k] && in.modifiers[k] == modifier) {
      used_[k] = true;
      return true;
    }
  }
  return false;
}

int Decoder::oneOf(std::initializer_list<std::string_view> modifiers) {
  int k = 0;
  for (std::string_view modifier : modifiers) {
    if (has(modifier)) return k;
    k++;
  }
  return -1;
}

void Decoder::ignore(std::initializer_list<std::string_view> modifiers) {
  for (std::string_view modifier : modifiers) has(modifier);
}

std::string Decoder::next() {
  for (std::size_t k = 0; k < used_.size(); k++) {
    if (used_[k]) continue;
    used_[k] = true;
    return in.modifiers[k];
  }
  return {};
}

Type Decoder::typeOrNone() {
  for (std::size_t k = 0; k < used_.size(); k++) {
    if (used_[k]) continue;
    Type t = ptx::typeNamed(in.modifiers[k]);
    if (t == Type::NONE) continue;
    used_[k] = true;
    return t;
  }
  return Type::NONE;
}

Type Decoder::type() {
  Type t = typeOrNone();
  if (t == Type::NONE) fail("expected a type");
  return t;
}

void Decoder::finish() const {
  for (std::size_t k = 0; k < used_.size(); k++) {
    if (!used_[k]) fail("'." + in.modifiers[k] + "' is not supported here");
  }
}

void Decoder::operands(std::size_t least, std::size_t most) const {
  if (in.operands.size() < least || in.operands.size() > std::max(least, most)) fail("wrong number of operands");
}

unsigned Decoder::width(Type type) { return type == Type::PRED ? 4 : std::max(2u, ptx::bytesOf(type)); }

Ref Decoder::source(const Operand& o, Type type) {
  unsigned bytes = width(type);
  switch (o.kind) {
    case Operand::REGISTER:
      if (names.registerType(o.index) == Type::PRED || width(names.registerType(o.index)) != bytes) fail("operand has another size than ." + std::to_string(bytes * 8) + " bits");
      return names.registerAt(o.index);
    case Operand::INTEGER:
      if (type == Type::F32) return names.constant(std::bit_cast<std::uint32_t>(static_cast<float>(o.integer)), bytes);
      if (type == Type::F64) return names.constant(std::bit_cast<std::uint64_t>(static_cast<double>(o.integer)), bytes);
      return names.constant(static_cast<std::uint64_t>(o.integer), bytes);
    case Operand::FLOAT32:
      if (type == Type::F64) return names.constant(std::bit_cast<std::uint64_t>(static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(o.integer)))), bytes);
      if (bytes != 4) fail("a float constant of another size");
      return names.constant(static_cast<std::uint64_t>(o.integer), bytes);
    case Operand::FLOAT64:
      if (type == Type::F32) return names.constant(std::bit_cast<std::uint32_t>(static_cast<float>(std::bit_cast<double>(o.integer))), bytes);
      if (bytes != 8) fail("a float constant of another size");
      return names.constant(static_cast<std::uint64_t>(o.integer), bytes);
    case Operand::LOCAL:
    case Operand::SYMBOL: {
      static const std::unordered_map<std::string, unsigned> SPECIAL = {
          {"%tid.x", special::TID_X},       {"%tid.y", special::TID_Y},       {"%tid.z", special::TID_Z},       {"%ntid.x", special::NTID_X},
          {"%ntid.y", special::NTID_Y},     {"%ntid.z", special::NTID_Z},     {"%ctaid.x", special::CTAID_X},   {"%ctaid.y", special::CTAID_Y},
          {"%ctaid.z", special::CTAID_Z},   {"%nctaid.x", special::NCTAID_X}, {"%nctaid.y", special::NCTAID_Y}, {"%nctaid.z", special::NCTAID_Z},
          {"%laneid", special::LANEID},     {"%warpid", special::WARPID},     {"%nwarpid", special::NWARPID},   {"%smid", special::SMID},
          {"%nsmid", special::NSMID},       {"%lanemask_eq", special::LANEMASK_EQ}, {"%lanemask_le", special::LANEMASK_LE},
          {"%lanemask_lt", special::LANEMASK_LT}, {"%lanemask_ge", special::LANEMASK_GE}, {"%lanemask_gt", special::LANEMASK_GT},
          {"%dynamic_smem_size", special::DYNAMIC_SMEM_SIZE}, {"%total_smem_size", special::TOTAL_SMEM_SIZE}};
      if (o.name.starts_with("%")) {
        if (o.name == "WARP_SZ") return names.constant(LANES, bytes);
        auto found = SPECIAL.find(o.name);
        if (found == SPECIAL.end()) fail("'" + o.name + "' is neither a register nor a special register that is known");
        if (bytes != 4) fail("special register " + o.name + " has 32 bits");
        return SPECIALS + found->second * 128;
      }
      if (o.name == "WARP_SZ") return names.constant(LANES, bytes);
      if (bytes < 4) fail("an address does not fit");
      Names::Place place = names.variable(o, in.line);
      return names.constant(place.address + static_cast<std::uint64_t>(o.integer), bytes);
    }
    default: fail("unexpected kind of operand");
  }
}

Ref Decoder::destination(const Operand& o, Type type) {
  if (o.kind == Operand::SINK) return names.registerAt(~0u);
  if (o.kind != Operand::REGISTER) fail("destination is no register");
  if (names.registerType(o.index) == Type::PRED || width(names.registerType(o.index)) != width(type)) fail("destination has another size than its type");
  return names.registerAt(o.index);
}

Ref Decoder::predicate(const Operand& o) {
  if (o.kind == Operand::INTEGER) return names.constant(o.integer != 0 ? ~0u : 0, 1);
  if (o.kind != Operand::REGISTER || names.registerType(o.index) != Type::PRED) fail("expected a predicate");
  return names.registerAt(o.index);
}

Ref Decoder::predicateOut(const Operand& o) {
  if (o.kind == Operand::SINK) return NO_REF;
  if (o.kind != Operand::REGISTER || names.registerType(o.index) != Type::PRED) fail("expected a predicate");
  return names.registerAt(o.index);
}

Ref Decoder::anyRegister(const Operand& o, unsigned& bytes) {
  if (o.kind != Operand::REGISTER || names.registerType(o.index) == Type::PRED) fail("expected a register");
  bytes = width(names.registerType(o.index));
  return names.registerAt(o.index);
}

std::int64_t Decoder::immediate(std::size_t k) const {
  if (k >= in.operands.size() || in.operands[k].kind != Operand::INTEGER) fail("operand " + std::to_string(k + 1) + " must be a constant");
  return in.operands[k].integer;
}

void Decoder::address(std::size_t k, Space& space, bool& entryParameter) {
  const Operand& o = in.operands.at(k);
  if (o.kind != Operand::ADDRESS) fail("expected an address in brackets");
  const Operand& base = o.elements[0];
  entryParameter = false;
  out.offset = o.integer;
  if (base.kind == Operand::REGISTER) {
    unsigned bytes = 0;
    out.a = anyRegister(base, bytes);
    if (bytes < 4) fail("an address has 32 or 64 bits");
    out.address32 = bytes == 4;
    return;
  }
  if (base.kind == Operand::INTEGER) {
    out.a = names.constant(0, 8);
    return;
  }
  if (base.kind != Operand::LOCAL && base.kind != Operand::SYMBOL) fail("expected an address in brackets");
  Names::Place place = names.variable(base, in.line);
  space = place.space;
  entryParameter = place.entryParameter;
  out.a = names.constant(place.address, 8);
  if (entryParameter) out.offset += static_cast<std::int64_t>(place.address);
}

Decode decoderOf(const std::string& opcode) {
  static const DecodeTable TABLE = [] {
    DecodeTable table;
    addInteger(table);
    addFloat(table);
    addConvert(table);
    addCompare(table);
    addMove(table);
    addMemory(table);
    addAtomic(table);
    addControl(table);
    addWarp(table);
    addAsync(table);
    addMatrix(table);
    return table;
  }();
  auto found = TABLE.find(opcode);
  return found == TABLE.end() ? nullptr : found->second;
}

}  // namespace lacuna::emulator
