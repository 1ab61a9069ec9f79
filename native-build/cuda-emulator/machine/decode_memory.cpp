// SPDX-License-Identifier: Apache-2.0
#include "access.h"
#include "decode.h"

namespace lacuna::emulator {

namespace {
using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;

/// Moves one element of all lanes between memory and a register.
using Put = void (*)(std::byte* reg, const Request& from, unsigned offset, unsigned stride, u32 mask);
using Take = void (*)(const std::byte* reg, const Request& to, unsigned offset, unsigned stride, u32 mask);

template <class R, class T>
void put(std::byte* reg, const Request& from, unsigned offset, unsigned stride, u32 mask) {
  R* d = reinterpret_cast<R*>(reg);
  auto widen = [](T v) { return static_cast<R>(v); };
  if (from.linear) {
    const std::byte* p = from.at[0] + offset;
    if (stride == sizeof(T)) {
      T t[LANES];
      std::memcpy(t, p, sizeof t);
      for (unsigned l = 0; l < LANES; l++) d[l] = widen(t[l]);
      return;
    }
    for (unsigned l = 0; l < LANES; l++) {
      T v;
      std::memcpy(&v, p + l * stride, sizeof v);
      d[l] = widen(v);
    }
    return;
  }
  for (; mask != 0; mask &= mask - 1) {
    auto l = std::countr_zero(mask);
    T v;
    std::memcpy(&v, from.at[l] + offset, sizeof v);
    d[l] = widen(v);
  }
}

template <class R, class T>
void take(const std::byte* reg, const Request& to, unsigned offset, unsigned stride, u32 mask) {
  const R* a = reinterpret_cast<const R*>(reg);
  if (to.linear) {
    std::byte* p = to.at[0] + offset;
    for (unsigned l = 0; l < LANES; l++) {
      T v = static_cast<T>(a[l]);
      std::memcpy(p + l * stride, &v, sizeof v);
    }
    return;
  }
  for (; mask != 0; mask &= mask - 1) {
    auto l = std::countr_zero(mask);
    T v = static_cast<T>(a[l]);
    std::memcpy(to.at[l] + offset, &v, sizeof v);
  }
}

template <class R>
Put putInto(Type t) {
  switch (t) {
    case Type::S8: return &put<R, std::int8_t>;
    case Type::U8: case Type::B8: return &put<R, u8>;
    case Type::S16: return &put<R, std::int16_t>;
    case Type::U16: case Type::B16: case Type::F16: case Type::BF16: return &put<R, u16>;
    case Type::S32: return &put<R, std::int32_t>;
    case Type::U32: case Type::B32: case Type::F32: case Type::F16X2: case Type::BF16X2: return &put<R, u32>;
    default: return &put<R, u64>;
  }
}
template <class R>
Take takeFrom(unsigned bytes) {
  return bytes == 1 ? &take<R, u8> : bytes == 2 ? &take<R, u16> : bytes == 4 ? &take<R, u32> : &take<R, u64>;
}

struct Element {
  Ref ref;
  const void* mover;
};

enum Where : u32 { GENERIC, GLOBAL, SHARED, LOCAL, CONSTANT, PARAM };

const char* const HINTS[] = {"nc", "ca", "cg", "cs", "lu", "cv", "wb", "wt", "unified", "L1::evict_normal", "L1::evict_unchanged", "L1::evict_first", "L1::evict_last",
                             "L1::no_allocate", "L2::evict_last", "L2::evict_normal", "L2::evict_first", "L2::64B", "L2::128B", "L2::256B", "cta", "cluster", "gpu", "sys"};

Where whereOf(Decoder& d) {
  int space = d.oneOf({"global", "shared", "shared::cta", "local", "const", "param", "param::entry", "param::func"});
  static constexpr Where WHERE[] = {GLOBAL, SHARED, SHARED, LOCAL, CONSTANT, PARAM, PARAM, PARAM};
  return space < 0 ? GENERIC : WHERE[space];
}

void decodeCommon(Decoder& d, std::size_t addressOperand, std::size_t dataOperand, bool load) {
  d.out.strong = d.oneOf({"volatile", "relaxed", "acquire", "release", "mmio"}) >= 0;
  d.has("weak");
  Where where = whereOf(d);
  for (const char* hint : HINTS) d.has(hint);
  bool policy = d.has("L2::cache_hint");
  d.operands(policy ? 3 : 2);
  int vector = d.oneOf({"v2", "v4"});
  Type t = d.type();
  unsigned bytes = ptx::bytesOf(t), count = vector < 0 ? 1 : vector == 0 ? 2 : 4;
  if (t == Type::PRED || t == Type::TF32 || bytes > 8) d.fail("unexpected type");
  if (bytes * count > 16) d.fail("more than 16 bytes a lane are not supported");
  Space space = Space::GLOBAL;
  bool entryParameter = false;
  const Operand& address = d.operand(addressOperand);
  bool named = address.kind == Operand::ADDRESS && address.elements[0].kind != Operand::REGISTER && address.elements[0].kind != Operand::INTEGER;
  d.address(addressOperand, space, entryParameter);
  if (named) {
    // The variable says where it lies; parameters of inlined functions are local memory.
    Where real = space == Space::SHARED ? SHARED : space == Space::LOCAL ? LOCAL : space == Space::PARAM ? PARAM : space == Space::CONST ? CONSTANT : GLOBAL;
    if (where == GENERIC || where == PARAM) where = real;
    if (where != real) d.fail("the variable lies in another space");
  }
  if (where == PARAM && !load) d.fail("parameters of a kernel cannot be written");
  d.out.flags = where;
  d.out.bytes = static_cast<u8>(bytes);
  d.out.count = static_cast<u8>(count);
  d.out.narrow = (where == SHARED || where == GENERIC) && bytes * count < 4;
  static constexpr u8 LOADS[] = {Counts::GLOBAL_LOAD, Counts::GLOBAL_LOAD, Counts::SHARED_LOAD, Counts::LOCAL, Counts::PARAM_CONST, Counts::PARAM_CONST};
  static constexpr u8 STORES[] = {Counts::GLOBAL_STORE, Counts::GLOBAL_STORE, Counts::SHARED_STORE, Counts::LOCAL, Counts::PARAM_CONST, Counts::PARAM_CONST};
  d.out.cls = load ? LOADS[where] : STORES[where];
  const Operand& data = d.operand(dataOperand);
  bool listed = data.kind == Operand::VECTOR;
  if ((listed ? data.elements.size() : 1) != count) d.fail("the vector does not match its list of registers");
  std::vector<Ref> refs;
  unsigned width = 0;
  for (unsigned k = 0; k < count; k++) {
    const Operand& o = listed ? data.elements[k] : data;
    unsigned w = 0;
    if (o.kind == Operand::REGISTER) {
      refs.push_back(d.anyRegister(o, w));
      if (w < bytes) d.fail("a register is too narrow");
      if (width != 0 && w != width) d.fail("registers of unequal width");
      width = w;
    } else {
      refs.push_back(NO_REF);
    }
  }
  if (width == 0) width = Decoder::width(t);
  Type filler = width == 2 ? Type::B16 : width == 4 ? (t == Type::F32 ? Type::F32 : Type::B32) : (t == Type::F64 ? Type::F64 : Type::B64);
  for (unsigned k = 0; k < count; k++) {
    if (refs[k] != NO_REF) continue;
    const Operand& o = listed ? data.elements[k] : data;
    refs[k] = load ? d.destination(o, filler) : d.source(o, filler);
  }
  for (unsigned k = 0; k < count; k++) {
    unsigned at = d.names.extra(refs[k]);
    if (k == 0) d.out.extra = at;
  }
  if (load) {
    Put p = width == 2 ? putInto<u16>(t) : width == 4 ? putInto<u32>(t) : putInto<u64>(t);
    d.out.aux = reinterpret_cast<const void*>(p);
  } else {
    Take p = width == 2 ? takeFrom<u16>(bytes) : width == 4 ? takeFrom<u32>(bytes) : takeFrom<u64>(bytes);
    d.out.aux = reinterpret_cast<const void*>(p);
  }
}

template <Where WHERE>
void reach(Warp& w, const Instr& i, Access kind, Request& request) {
  alignas(64) Address addresses[LANES];
  addressesOf(w, i, addresses);
  unsigned bytes = unsigned{i.bytes} * i.count;
  switch (WHERE) {
    case GENERIC: return accessGeneric(w, i, addresses, bytes, kind, w.mask, request);
    case GLOBAL: return accessGlobal(w, i, addresses, bytes, kind, w.mask, request);
    case SHARED: return accessShared(w, i, addresses, bytes, kind, w.mask, request);
    case LOCAL: return accessLocal(w, i, addresses, bytes, w.mask, request);
    default: return accessConstant(w, i, addresses, bytes, w.mask, request);
  }
}

void putAll(Warp& w, const Instr& i, const Request& request) {
  auto mover = reinterpret_cast<Put>(const_cast<void*>(i.aux));
  const std::uint32_t* refs = &w.block->program->extras[i.extra];
  unsigned stride = unsigned{i.bytes} * i.count;
  for (unsigned k = 0; k < i.count; k++) mover(w.at<std::byte>(refs[k]), request, k * i.bytes, stride, w.mask);
}

template <Where WHERE>
void load(Warp& w, const Instr& i) {
  Request request;
  reach<WHERE>(w, i, Access::LOAD, request);
  putAll(w, i, request);
}

template <Where WHERE>
void store(Warp& w, const Instr& i) {
  Request request;
  reach<WHERE>(w, i, Access::STORE, request);
  auto mover = reinterpret_cast<Take>(const_cast<void*>(i.aux));
  const std::uint32_t* refs = &w.block->program->extras[i.extra];
  unsigned stride = unsigned{i.bytes} * i.count;
  for (unsigned k = 0; k < i.count; k++) mover(w.at<std::byte>(refs[k]), request, k * i.bytes, stride, w.mask);
}

void loadParameter(Warp& w, const Instr& i) {
  Request request;
  request.linear = false;
  unsigned bytes = unsigned{i.bytes} * i.count;
  // A named parameter's whole offset is in the instruction, its base register holds a constant that is part of it.
  bool named = (i.a >> 30) == 1;
  for (u32 m = w.mask; m != 0; m &= m - 1) {
    auto l = static_cast<unsigned>(std::countr_zero(m));
    Address at = static_cast<Address>(i.offset);
    if (!named) at += i.address32 ? w.at<u32>(i.a)[l] : w.at<Address>(i.a)[l];
    if (at >= PARAM_WINDOW && at - PARAM_WINDOW < WINDOW_BYTES) at -= PARAM_WINDOW;
    if (at > w.block->program->parameterBytes || bytes > w.block->program->parameterBytes - at) {
      w.fail(i, Fault::ILLEGAL_ADDRESS, l, "load of " + std::to_string(bytes) + " bytes at " + std::to_string(at) + " of " + std::to_string(w.block->program->parameterBytes) + " bytes of parameters");
    }
    request.at[l] = const_cast<std::byte*>(w.block->worker->launch->parameters) + at;
  }
  putAll(w, i, request);
}

void ld(Decoder& d) {
  decodeCommon(d, 1, 0, true);
  static constexpr Run RUNS[] = {&load<GENERIC>, &load<GLOBAL>, &load<SHARED>, &load<LOCAL>, &load<CONSTANT>, &loadParameter};
  d.out.run = RUNS[d.out.flags];
}

void st(Decoder& d) {
  decodeCommon(d, 0, 1, false);
  if (d.out.flags >= CONSTANT) d.fail("cannot be written");
  static constexpr Run RUNS[] = {&store<GENERIC>, &store<GLOBAL>, &store<SHARED>, &store<LOCAL>};
  d.out.run = RUNS[d.out.flags];
}

void nothing(Warp&, const Instr&) {}

void prefetch(Decoder& d) {
  d.ignore({"global", "local", "const", "L1", "L2", "L2::evict_last", "L2::evict_normal", "tensormap"});
  d.operands(1);
  d.out.run = &nothing;
}

void createPolicy(Decoder& d) {
  d.ignore({"fractional", "range", "global", "cvt", "L2", "L2::evict_last", "L2::evict_normal", "L2::evict_first", "L2::evict_unchanged"});
  if (d.type() != Type::B64) d.fail("needs .b64");
  d.operands(1, 4);
  d.out.d = d.destination(0, Type::B64);
  d.out.a = d.names.constant(0, 8);
  d.out.run = lanes([](u64 a) -> u64 { return a; });
}
}  // namespace

void addMemory(DecodeTable& table) {
  table["ld"] = &ld;
  table["ldu"] = &ld;
  table["st"] = &st;
  table["prefetch"] = &prefetch;
  table["prefetchu"] = &prefetch;
  table["createpolicy"] = &createPolicy;
}

}  // namespace lacuna::emulator
