// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "access.h"
#include "decode.h"
#include "half.h"

namespace lacuna::emulator {

namespace {
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using s32 = std::int32_t;
using u64 = std::uint64_t;
using s64 = std::int64_t;

enum Where : u32 { GENERIC, GLOBAL, SHARED };

/// New value from the old one and the operands, all as bits of T.
template <class T>
using Update = T (*)(T old, T b, T c);

/// Lanes in ascending order; blocks on other host threads may be at the same address.
template <class T>
void atomic(Warp& w, const Instr& i) {
  alignas(64) Address addresses[LANES];
  addressesOf(w, i, addresses);
  Request request;
  switch (i.flags) {
    case GENERIC: accessGeneric(w, i, addresses, sizeof(T), Access::ATOMIC, w.mask, request); break;
    case GLOBAL: accessGlobal(w, i, addresses, sizeof(T), Access::ATOMIC, w.mask, request); break;
    default: accessShared(w, i, addresses, sizeof(T), Access::ATOMIC, w.mask, request); break;
  }
  auto update = reinterpret_cast<Update<T>>(const_cast<void*>(i.aux));
  const T* b = w.at<T>(i.b);
  const T* c = i.c == NO_REF ? b : w.at<T>(i.c);
  T out[LANES] = {};
  for (u32 m = w.mask; m != 0; m &= m - 1) {
    auto l = static_cast<unsigned>(std::countr_zero(m));
    T* p = reinterpret_cast<T*>(request.at[l]);
    T old = __atomic_load_n(p, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(p, &old, update(old, b[l], c[l]), false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
    }
    out[l] = old;
  }
  if (i.d != NO_REF) detail::store(w.at<T>(i.d), out, w.mask);
}

template <class T, class S>
Update<T> integerUpdate(const std::string& op) {
  if (op == "add") return [](T old, T b, T) -> T { return static_cast<T>(old + b); };
  if (op == "and") return [](T old, T b, T) -> T { return static_cast<T>(old & b); };
  if (op == "or") return [](T old, T b, T) -> T { return static_cast<T>(old | b); };
  if (op == "xor") return [](T old, T b, T) -> T { return static_cast<T>(old ^ b); };
  if (op == "exch") return [](T, T b, T) -> T { return b; };
  if (op == "cas") return [](T old, T b, T c) -> T { return old == b ? c : old; };
  if (op == "min") return [](T old, T b, T) -> T { return static_cast<S>(b) < static_cast<S>(old) ? b : old; };
  if (op == "max") return [](T old, T b, T) -> T { return static_cast<S>(b) > static_cast<S>(old) ? b : old; };
  if (op == "inc") return [](T old, T b, T) -> T { return old >= b ? 0 : static_cast<T>(old + 1); };
  if (op == "dec") return [](T old, T b, T) -> T { return old == 0 || old > b ? b : static_cast<T>(old - 1); };
  return nullptr;
}

template <class H>
u16 addHalves(u16 a, u16 b) {
  return H::narrow(H::widen(a) + H::widen(b));
}
template <class H>
u32 addPairs(u32 a, u32 b, u32) {
  return pack16(addHalves<H>(low16(a), low16(b)), addHalves<H>(high16(a), high16(b)));
}

template <class T>
void use(Decoder& d, Update<T> update) {
  if (update == nullptr) d.fail("no such atomic operation for the type");
  d.out.aux = reinterpret_cast<const void*>(update);
  d.out.run = &atomic<T>;
}

void atom(Decoder& d) {
  bool result = d.in.opcode == "atom";
  d.ignore({"relaxed", "acquire", "release", "acq_rel", "cta", "cluster", "gpu", "sys"});
  int space = d.oneOf({"global", "shared", "shared::cta"});
  d.out.flags = space < 0 ? GENERIC : space == 0 ? GLOBAL : SHARED;
  static constexpr std::string_view OPS[] = {"add", "and", "or", "xor", "exch", "cas", "min", "max", "inc", "dec"};
  std::string op;
  for (std::string_view name : OPS) {
    if (d.has(name)) {
      op = name;
      break;
    }
  }
  d.has("noftz");
  bool policy = d.has("L2::cache_hint");
  Type t = d.type();
  bool swap = op == "cas";
  std::size_t first = result ? 1 : 0, count = first + (swap ? 3 : 2);
  d.operands(policy ? count + 1 : count);
  d.out.cls = Counts::ATOMIC;
  d.out.bytes = static_cast<std::uint8_t>(ptx::bytesOf(t));
  d.out.narrow = d.out.flags != GLOBAL && ptx::bytesOf(t) < 4;
  Space where = d.out.flags == SHARED ? Space::SHARED : Space::GLOBAL;
  bool parameter = false;
  d.address(first, where, parameter);
  if (d.out.flags == GENERIC && where == Space::SHARED) d.out.flags = SHARED;
  if (where == Space::LOCAL || parameter) d.fail("atomic access to local memory or parameters");
  if (result && d.operand(0).kind != Operand::SINK) d.out.d = d.destination(0, t);
  d.out.b = d.source(first + 1, t);
  if (swap) d.out.c = d.source(first + 2, t);
  switch (t) {
    case Type::U32: case Type::B32: use<u32>(d, integerUpdate<u32, u32>(op)); break;
    case Type::S32: use<u32>(d, integerUpdate<u32, s32>(op)); break;
    case Type::U64: case Type::B64: use<u64>(d, integerUpdate<u64, u64>(op)); break;
    case Type::S64: use<u64>(d, integerUpdate<u64, s64>(op)); break;
    case Type::B16: use<u16>(d, swap || op == "exch" ? integerUpdate<u16, u16>(op) : nullptr); break;
    case Type::F32:
      use<u32>(d, op == "add" ? Update<u32>([](u32 old, u32 b, u32) -> u32 { return std::bit_cast<u32>(canonical(std::bit_cast<float>(old) + std::bit_cast<float>(b))); })
                              : op == "exch" ? integerUpdate<u32, u32>(op) : nullptr);
      break;
    case Type::F64:
      use<u64>(d, op == "add" ? Update<u64>([](u64 old, u64 b, u64) -> u64 { return std::bit_cast<u64>(std::bit_cast<double>(old) + std::bit_cast<double>(b)); }) : nullptr);
      break;
    case Type::F16: use<u16>(d, op == "add" ? Update<u16>([](u16 old, u16 b, u16) -> u16 { return addHalves<F16>(old, b); }) : nullptr); break;
    case Type::BF16: use<u16>(d, op == "add" ? Update<u16>([](u16 old, u16 b, u16) -> u16 { return addHalves<BF16>(old, b); }) : nullptr); break;
    case Type::F16X2: use<u32>(d, op == "add" ? Update<u32>(&addPairs<F16>) : nullptr); break;
    case Type::BF16X2: use<u32>(d, op == "add" ? Update<u32>(&addPairs<BF16>) : nullptr); break;
    default: d.fail("unexpected type");
  }
}
}  // namespace

void addAtomic(DecodeTable& table) {
  table["atom"] = &atom;
  table["red"] = &atom;
}

}  // namespace lacuna::emulator
