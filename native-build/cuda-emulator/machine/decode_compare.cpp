// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "decode.h"
#include "half.h"

namespace lacuna::emulator {

namespace {
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using s32 = std::int32_t;

using Compare = u32 (*)(const Warp&, const Instr&);

template <class A, class F>
constexpr Compare compare(F) {
  return &detail::maskedBy<F, A>;
}

template <class T>
Compare integerCompare(const std::string& op) {
  if (op == "eq") return compare<T>([](T a, T b) { return a == b; });
  if (op == "ne") return compare<T>([](T a, T b) { return a != b; });
  if (op == "lt" || op == "lo") return compare<T>([](T a, T b) { return a < b; });
  if (op == "le" || op == "ls") return compare<T>([](T a, T b) { return a <= b; });
  if (op == "gt" || op == "hi") return compare<T>([](T a, T b) { return a > b; });
  if (op == "ge" || op == "hs") return compare<T>([](T a, T b) { return a >= b; });
  return nullptr;
}

inline bool nan(float v) { return v != v; }
inline bool nan(double v) { return v != v; }

/// W turns a register's value into a float.
template <class T, class W>
Compare floatCompare(const std::string& op) {
  if (op == "eq") return compare<T>([](T a, T b) { return W::of(a) == W::of(b); });
  if (op == "ne") return compare<T>([](T a, T b) { return W::of(a) != W::of(b) && !nan(W::of(a)) && !nan(W::of(b)); });
  if (op == "lt") return compare<T>([](T a, T b) { return W::of(a) < W::of(b); });
  if (op == "le") return compare<T>([](T a, T b) { return W::of(a) <= W::of(b); });
  if (op == "gt") return compare<T>([](T a, T b) { return W::of(a) > W::of(b); });
  if (op == "ge") return compare<T>([](T a, T b) { return W::of(a) >= W::of(b); });
  if (op == "equ") return compare<T>([](T a, T b) { return !(W::of(a) < W::of(b) || W::of(a) > W::of(b)); });
  if (op == "neu") return compare<T>([](T a, T b) { return W::of(a) != W::of(b); });
  if (op == "ltu") return compare<T>([](T a, T b) { return !(W::of(a) >= W::of(b)); });
  if (op == "leu") return compare<T>([](T a, T b) { return !(W::of(a) > W::of(b)); });
  if (op == "gtu") return compare<T>([](T a, T b) { return !(W::of(a) <= W::of(b)); });
  if (op == "geu") return compare<T>([](T a, T b) { return !(W::of(a) < W::of(b)); });
  if (op == "num") return compare<T>([](T a, T b) { return !nan(W::of(a)) && !nan(W::of(b)); });
  if (op == "nan") return compare<T>([](T a, T b) { return nan(W::of(a)) || nan(W::of(b)); });
  return nullptr;
}

struct Same {
  static float of(float v) { return v; }
  static double of(double v) { return v; }
};
struct Flushed {
  static float of(float v) { return std::fabs(v) < 1.17549435e-38f ? 0.0f : v; }
};
struct Low16 {
  static float of(u16 v) { return F16::widen(v); }
};
struct LowBrain {
  static float of(u16 v) { return BF16::widen(v); }
};
template <class H>
struct LowOf {
  static float of(u32 v) { return H::widen(low16(v)); }
};
template <class H>
struct HighOf {
  static float of(u32 v) { return H::widen(high16(v)); }
};

const char* const NAMES[] = {"eq", "ne", "lt", "le", "gt", "ge", "lo", "ls", "hi", "hs", "equ", "neu", "ltu", "leu", "gtu", "geu", "num", "nan"};

std::string comparison(Decoder& d) {
  for (const char* name : NAMES) {
    if (d.has(name)) return name;
  }
  d.fail("expected a comparison");
}

/// second: the comparison of the high halves of packed types.
Compare compareOf(Decoder& d, const std::string& op, Type t, bool ftz, Compare& second) {
  second = nullptr;
  Compare c = nullptr;
  switch (t) {
    case Type::F32: c = ftz ? floatCompare<float, Flushed>(op) : floatCompare<float, Same>(op); break;
    case Type::F64: c = floatCompare<double, Same>(op); break;
    case Type::F16: c = floatCompare<u16, Low16>(op); break;
    case Type::BF16: c = floatCompare<u16, LowBrain>(op); break;
    case Type::F16X2:
      c = floatCompare<u32, LowOf<F16>>(op);
      second = floatCompare<u32, HighOf<F16>>(op);
      break;
    case Type::BF16X2:
      c = floatCompare<u32, LowOf<BF16>>(op);
      second = floatCompare<u32, HighOf<BF16>>(op);
      break;
    default:
      if (!isInteger(t)) d.fail("unexpected type");
      c = withInteger(t, [&](auto z) { return integerCompare<decltype(z)>(op); });
  }
  if (c == nullptr) d.fail("no such comparison for the type");
  return c;
}

enum Combine : u32 { PLAIN, AND, OR, XOR };

u32 combined(const Warp& w, const Instr& i, u32 r) {
  u32 kind = i.flags & 3;
  if (kind == PLAIN) return r;
  u32 c = w.predicate(i.c);
  if (i.flags & 4) c = ~c;
  return kind == AND ? r & c : kind == OR ? r | c : r ^ c;
}

void combineWith(Decoder& d, std::size_t k) {
  int kind = d.oneOf({"and", "or", "xor"});
  d.operands(kind < 0 ? k : k + 1);
  if (kind < 0) return;
  d.out.flags = static_cast<u32>(kind + 1) | (d.operand(k).negated ? 4 : 0);
  d.out.c = d.predicate(d.operand(k));
}

struct Extra {
  Compare first, second;
};
const Extra* keep(Compare first, Compare second) {
  static std::vector<std::unique_ptr<Extra>>* const pairs = new std::vector<std::unique_ptr<Extra>>;
  static std::mutex* const mutex = new std::mutex;
  std::lock_guard lock(*mutex);
  for (const auto& p : *pairs) {
    if (p->first == first && p->second == second) return p.get();
  }
  pairs->push_back(std::make_unique<Extra>(Extra{first, second}));
  return pairs->back().get();
}

void setp(Decoder& d) {
  std::string op = comparison(d);
  bool ftz = d.has("ftz");
  Type t = d.type();
  d.out.cls = Counts::COMPARE;
  combineWith(d, 3);
  Compare second = nullptr;
  Compare first = compareOf(d, op, t, ftz, second);
  d.out.aux = keep(first, second);
  d.out.d = d.predicateOut(d.operand(0));
  d.out.target = d.operand(0).second.empty() ? NO_REF : d.predicateOut(d.operand(0).second[0]);
  d.out.a = d.source(1, t);
  d.out.b = d.source(2, t);
  d.out.run = [](Warp& w, const Instr& i) {
    const auto* pair = static_cast<const Extra*>(i.aux);
    u32 r = pair->first(w, i);
    u32 other = pair->second != nullptr ? pair->second(w, i) : ~r;
    u32 p = combined(w, i, r), q = combined(w, i, other);
    if (i.d != NO_REF) storePredicate(w, i.d, p);
    if (i.target != NO_REF) storePredicate(w, i.target, q);
  };
}

void set(Decoder& d) {
  std::string op = comparison(d);
  bool ftz = d.has("ftz");
  Type to = d.type(), t = d.type();
  d.out.cls = Counts::COMPARE;
  combineWith(d, 3);
  Compare second = nullptr;
  Compare first = compareOf(d, op, t, ftz, second);
  d.out.aux = keep(first, second);
  d.out.a = d.source(1, t);
  d.out.b = d.source(2, t);
  d.out.d = d.destination(0, to);
  // What a true result looks like in the destination, its low half for packed types.
  switch (to) {
    case Type::F32: d.out.offset = 0x3f800000; break;
    case Type::F16: d.out.offset = F16::ONE; break;
    case Type::BF16: d.out.offset = BF16::ONE; break;
    case Type::F16X2: d.out.offset = F16::ONE; break;
    case Type::BF16X2: d.out.offset = BF16::ONE; break;
    case Type::U32: case Type::S32: case Type::B32: d.out.offset = second != nullptr ? 0xffff : 0xffffffff; break;
    case Type::U16: case Type::S16: case Type::B16: d.out.offset = 0xffff; break;
    default: d.fail("unexpected destination type");
  }
  d.out.bytes = static_cast<std::uint8_t>(Decoder::width(to));
  d.out.run = [](Warp& w, const Instr& i) {
    const auto* pair = static_cast<const Extra*>(i.aux);
    u32 p = combined(w, i, pair->first(w, i));
    u32 q = pair->second != nullptr ? combined(w, i, pair->second(w, i)) : 0;
    auto one = static_cast<u32>(i.offset);
    for (u32 m = w.mask; m != 0; m &= m - 1) {
      auto l = static_cast<unsigned>(std::countr_zero(m));
      u32 v = (p >> l & 1 ? one : 0) | (q >> l & 1 ? one << 16 : 0);
      if (i.bytes == 2) w.at<u16>(i.d)[l] = static_cast<u16>(v);
      else w.at<u32>(i.d)[l] = v;
    }
  };
}

template <class T>
void select(Warp& w, const Instr& i) {
  u32 p = w.predicate(i.c);
  if (i.flags != 0) p = ~p;
  const T* a = w.at<T>(i.a);
  const T* b = w.at<T>(i.b);
  T out[LANES];
  for (unsigned l = 0; l < LANES; l++) out[l] = p >> l & 1 ? a[l] : b[l];
  detail::store(w.at<T>(i.d), out, w.mask);
}

void selp(Decoder& d) {
  Type t = d.type();
  d.operands(4);
  d.out.cls = Counts::COMPARE;
  d.out.c = d.predicate(d.operand(3));
  d.out.flags = d.operand(3).negated;
  if (t == Type::PRED) d.fail("unexpected type");
  d.out.d = d.destination(0, t);
  d.out.a = d.source(1, t);
  d.out.b = d.source(2, t);
  d.out.run = Decoder::width(t) == 2 ? &select<u16> : Decoder::width(t) == 4 ? &select<u32> : &select<std::uint64_t>;
}

void slct(Decoder& d) {
  bool ftz = d.has("ftz");
  Type t = d.type(), tc = d.type();
  d.operands(4);
  d.out.cls = Counts::COMPARE;
  d.out.d = d.destination(0, t);
  d.out.a = d.source(1, t);
  d.out.b = d.source(2, t);
  d.out.c = d.source(3, tc);
  auto pick = [&](auto z) -> Run {
    using T = decltype(z);
    if (tc == Type::S32) return lanes([](T a, T b, s32 c) -> T { return c >= 0 ? a : b; });
    if (ftz) return lanes([](T a, T b, float c) -> T { return c > -1.17549435e-38f ? a : b; });
    return lanes([](T a, T b, float c) -> T { return c >= 0 ? a : b; });
  };
  if (tc != Type::S32 && tc != Type::F32) d.fail("needs .s32 or .f32");
  d.out.run = Decoder::width(t) == 2 ? pick(u16{}) : Decoder::width(t) == 4 ? pick(u32{}) : pick(std::uint64_t{});
}
}  // namespace

void addCompare(DecodeTable& table) {
  table["setp"] = &setp;
  table["set"] = &set;
  table["selp"] = &selp;
  table["slct"] = &slct;
}

}  // namespace lacuna::emulator
