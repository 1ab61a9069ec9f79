// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "arithmetic.h"
#include "half.h"

namespace lacuna::emulator {

namespace {
using u16 = std::uint16_t;
using u32 = std::uint32_t;

enum class After { NOTHING, SATURATE, RELU };

template <class H, After AFTER>
u16 finish(u16 v) {
  float f = H::widen(v);
  if (f != f) return AFTER == After::SATURATE ? u16{0} : NAN16;
  if (AFTER == After::SATURATE) return f > 1.0f ? H::ONE : f > 0.0f ? v : u16{0};
  if (AFTER == After::RELU && (v & 0x8000)) return 0;
  return v;
}

template <class H, bool FTZ>
u16 flush(u16 v) {
  if (!FTZ) return v;
  return (v & H::INFINITE) == 0 ? static_cast<u16>(v & 0x8000) : v;
}

// Sums and products of 11- and 8-bit significands in float round once more without harm: 24 >= 2 * 11 + 2.
struct Add {
  template <class H>
  static u16 of(u16 a, u16 b) { return H::narrow(H::widen(a) + H::widen(b)); }
};
struct Sub {
  template <class H>
  static u16 of(u16 a, u16 b) { return H::narrow(H::widen(a) - H::widen(b)); }
};
struct Mul {
  template <class H>
  static u16 of(u16 a, u16 b) { return H::narrow(H::widen(a) * H::widen(b)); }
};

template <class H>
u16 fused(u16 a, u16 b, u16 c) {
  double exact = static_cast<double>(H::widen(a)) * static_cast<double>(H::widen(b));
  return H::narrow(oddFloat(oddSum(exact, static_cast<double>(H::widen(c)))));
}

template <class Op, class H, bool FTZ, After AFTER>
Run twoRun(bool packed) {
  if (packed) {
    return lanes([](u32 a, u32 b) -> u32 {
      auto one = [](u16 x, u16 y) { return finish<H, AFTER>(flush<H, FTZ>(Op::template of<H>(flush<H, FTZ>(x), flush<H, FTZ>(y)))); };
      return pack16(one(low16(a), low16(b)), one(high16(a), high16(b)));
    });
  }
  return lanes([](u16 a, u16 b) -> u16 { return finish<H, AFTER>(flush<H, FTZ>(Op::template of<H>(flush<H, FTZ>(a), flush<H, FTZ>(b)))); });
}

template <class H, bool FTZ, After AFTER>
Run threeRun(bool packed) {
  if (packed) {
    return lanes([](u32 a, u32 b, u32 c) -> u32 {
      auto one = [](u16 x, u16 y, u16 z) { return finish<H, AFTER>(flush<H, FTZ>(fused<H>(flush<H, FTZ>(x), flush<H, FTZ>(y), flush<H, FTZ>(z)))); };
      return pack16(one(low16(a), low16(b), low16(c)), one(high16(a), high16(b), high16(c)));
    });
  }
  return lanes([](u16 a, u16 b, u16 c) -> u16 { return finish<H, AFTER>(flush<H, FTZ>(fused<H>(flush<H, FTZ>(a), flush<H, FTZ>(b), flush<H, FTZ>(c)))); });
}

template <class H, bool FTZ, After AFTER>
Run arithmeticRun(const std::string& op, bool packed) {
  if (op == "add") return twoRun<Add, H, FTZ, AFTER>(packed);
  if (op == "sub") return twoRun<Sub, H, FTZ, AFTER>(packed);
  if (op == "mul") return twoRun<Mul, H, FTZ, AFTER>(packed);
  if (op == "fma") return threeRun<H, FTZ, AFTER>(packed);
  return nullptr;
}

template <class H>
Run arithmeticOf(const std::string& op, bool packed, bool ftz, After after) {
  switch (after) {
    case After::SATURATE: return ftz ? arithmeticRun<H, true, After::SATURATE>(op, packed) : arithmeticRun<H, false, After::SATURATE>(op, packed);
    case After::RELU: return ftz ? arithmeticRun<H, true, After::RELU>(op, packed) : arithmeticRun<H, false, After::RELU>(op, packed);
    default: return ftz ? arithmeticRun<H, true, After::NOTHING>(op, packed) : arithmeticRun<H, false, After::NOTHING>(op, packed);
  }
}

template <class H, bool LARGER, bool NAN_WINS, bool ABSOLUTE>
u16 extreme(u16 a, u16 b) {
  u16 sign = static_cast<u16>((a ^ b) & 0x8000);
  if (ABSOLUTE) {
    a &= 0x7fff;
    b &= 0x7fff;
  }
  float x = H::widen(a), y = H::widen(b);
  u16 r;
  if (x != x || y != y) {
    if (NAN_WINS || (x != x && y != y)) return NAN16;
    r = x != x ? b : a;
  } else if (x == y) {
    r = ((a & 0x8000) != 0) == LARGER ? b : a;
  } else {
    r = (x < y) == LARGER ? b : a;
  }
  return ABSOLUTE ? static_cast<u16>((r & 0x7fff) | sign) : r;
}

template <class H, bool LARGER, bool NAN_WINS, bool ABSOLUTE>
Run extremeRun(bool packed) {
  if (packed) {
    return lanes([](u32 a, u32 b) -> u32 {
      return pack16(extreme<H, LARGER, NAN_WINS, ABSOLUTE>(low16(a), low16(b)), extreme<H, LARGER, NAN_WINS, ABSOLUTE>(high16(a), high16(b)));
    });
  }
  return lanes([](u16 a, u16 b) -> u16 { return extreme<H, LARGER, NAN_WINS, ABSOLUTE>(a, b); });
}

template <class H, bool LARGER>
Run extremeOf(bool packed, bool nanWins, bool absolute) {
  if (nanWins) return absolute ? extremeRun<H, LARGER, true, true>(packed) : extremeRun<H, LARGER, true, false>(packed);
  return absolute ? extremeRun<H, LARGER, false, true>(packed) : extremeRun<H, LARGER, false, false>(packed);
}

struct Tanh {
  static float of(float v) { return std::tanh(v); }
};
struct Ex2 {
  static float of(float v) { return std::exp2(v); }
};

template <class F, class H>
Run functionRun(bool packed) {
  if (packed) return lanes([](u32 a) -> u32 { return pack16(H::narrow(F::of(H::widen(low16(a)))), H::narrow(F::of(H::widen(high16(a))))); });
  return lanes([](u16 a) -> u16 { return H::narrow(F::of(H::widen(a))); });
}
}  // namespace

void halfArithmetic(Decoder& d, Type t) {
  const std::string& op = d.in.opcode;
  bool brain = t == Type::BF16 || t == Type::BF16X2, packed = t == Type::F16X2 || t == Type::BF16X2;
  d.out.cls = Counts::HALF;
  d.has("rn");
  bool ftz = d.has("ftz");
  if (op == "abs" || op == "neg") {
    d.operands(2);
    d.out.d = d.destination(0, t);
    d.out.a = d.source(1, t);
    bool absolute = op == "abs";
    if (ftz && !packed && !brain) {
      d.out.run = absolute ? lanes([](u16 a) -> u16 { return flush<F16, true>(a) & 0x7fff; }) : lanes([](u16 a) -> u16 { return flush<F16, true>(a) ^ 0x8000; });
    } else if (ftz) {
      d.fail(".ftz is not supported here");
    } else if (packed) {
      d.out.run = absolute ? lanes([](u32 a) -> u32 { return a & 0x7fff7fff; }) : lanes([](u32 a) -> u32 { return a ^ 0x80008000; });
    } else {
      d.out.run = absolute ? lanes([](u16 a) -> u16 { return a & 0x7fff; }) : lanes([](u16 a) -> u16 { return a ^ 0x8000; });
    }
    return;
  }
  if (op == "tanh" || op == "ex2") {
    d.has("approx");
    d.operands(2);
    d.out.cls = Counts::SPECIAL;
    d.out.d = d.destination(0, t);
    d.out.a = d.source(1, t);
    bool hyperbolic = op == "tanh";
    if (brain) d.out.run = hyperbolic ? functionRun<Tanh, BF16>(packed) : functionRun<Ex2, BF16>(packed);
    else d.out.run = hyperbolic ? functionRun<Tanh, F16>(packed) : functionRun<Ex2, F16>(packed);
    return;
  }
  bool three = op == "fma";
  d.operands(three ? 4 : 3);
  d.out.d = d.destination(0, t);
  d.out.a = d.source(1, t);
  d.out.b = d.source(2, t);
  if (three) d.out.c = d.source(3, t);
  if (op == "min" || op == "max") {
    if (ftz) d.fail(".ftz is not supported here");
    bool nanWins = d.has("NaN"), absolute = d.has("xorsign");
    if (absolute && !d.has("abs")) d.fail(".xorsign needs .abs");
    if (brain) d.out.run = op == "max" ? extremeOf<BF16, true>(packed, nanWins, absolute) : extremeOf<BF16, false>(packed, nanWins, absolute);
    else d.out.run = op == "max" ? extremeOf<F16, true>(packed, nanWins, absolute) : extremeOf<F16, false>(packed, nanWins, absolute);
    return;
  }
  After after = d.has("sat") ? After::SATURATE : d.has("relu") ? After::RELU : After::NOTHING;
  d.out.run = brain ? arithmeticOf<BF16>(op, packed, ftz, after) : arithmeticOf<F16>(op, packed, ftz, after);
  if (d.out.run == nullptr) d.fail("no 16-bit float form");
}


}  // namespace lacuna::emulator
