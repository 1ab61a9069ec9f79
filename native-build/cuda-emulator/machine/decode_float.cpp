// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "arithmetic.h"
#include "directed.h"
#include "half.h"

namespace lacuna::emulator {

namespace {
constexpr float SMALLEST = 1.17549435e-38f;

inline float flush(float v) { return std::fabs(v) < SMALLEST ? std::copysign(0.0f, v) : v; }
inline float saturate(float v) { return v != v ? 0.0f : v < 0.0f ? 0.0f : v > 1.0f ? 1.0f : v + 0.0f; }

template <bool FTZ>
float in(float v) {
  return FTZ ? flush(v) : v;
}
template <bool FTZ, bool SAT>
float out(float v) {
  if (SAT) return saturate(FTZ ? flush(v) : v);
  return canonical(FTZ ? flush(v) : v);
}

template <bool FTZ, bool SAT>
Run basic(const std::string& op) {
  if (op == "add") return lanes([](float a, float b) -> float { return out<FTZ, SAT>(in<FTZ>(a) + in<FTZ>(b)); });
  if (op == "sub") return lanes([](float a, float b) -> float { return out<FTZ, SAT>(in<FTZ>(a) - in<FTZ>(b)); });
  if (op == "mul") return lanes([](float a, float b) -> float { return out<FTZ, SAT>(in<FTZ>(a) * in<FTZ>(b)); });
  if (op == "div") return lanes([](float a, float b) -> float { return out<FTZ, SAT>(in<FTZ>(a) / in<FTZ>(b)); });
  if (op == "fma" || op == "mad") return lanes([](float a, float b, float c) -> float { return out<FTZ, SAT>(std::fma(in<FTZ>(a), in<FTZ>(b), in<FTZ>(c))); });
  return nullptr;
}

/// The functions that the ISA lets be approximate are computed as exactly as libm does.
template <bool FTZ>
Run function(const std::string& op) {
  if (op == "rcp") return lanes([](float a) -> float { return out<FTZ, false>(1.0f / in<FTZ>(a)); });
  if (op == "sqrt") return lanes([](float a) -> float { return out<FTZ, false>(std::sqrt(in<FTZ>(a))); });
  if (op == "rsqrt") return lanes([](float a) -> float { return out<FTZ, false>(static_cast<float>(1.0 / std::sqrt(static_cast<double>(in<FTZ>(a))))); });
  if (op == "ex2") return lanes([](float a) -> float { return out<FTZ, false>(std::exp2(in<FTZ>(a))); });
  if (op == "lg2") return lanes([](float a) -> float { return out<FTZ, false>(std::log2(in<FTZ>(a))); });
  if (op == "sin") return lanes([](float a) -> float { return out<FTZ, false>(std::sin(in<FTZ>(a))); });
  if (op == "cos") return lanes([](float a) -> float { return out<FTZ, false>(std::cos(in<FTZ>(a))); });
  if (op == "tanh") return lanes([](float a) -> float { return out<FTZ, false>(std::tanh(in<FTZ>(a))); });
  return nullptr;
}

/// -0 is less than +0; one NaN loses unless NAN_WINS.
template <class T, bool LARGER, bool NAN_WINS>
T extreme(T a, T b) {
  if (NAN_WINS ? (a != a || b != b) : (a != a && b != b)) {
    if constexpr (sizeof(T) == 4) return std::bit_cast<float>(NAN32);
    return a != a ? a : b;
  }
  if (a != a) return b;
  if (b != b) return a;
  if (a == b) return std::signbit(a) == LARGER ? b : a;
  return (a < b) == LARGER ? b : a;
}

template <bool FTZ, bool LARGER, bool NAN_WINS>
Run extremeRun(bool absolute) {
  if (absolute) {
    return lanes([](float a, float b) -> float {
      float r = extreme<float, LARGER, NAN_WINS>(std::fabs(in<FTZ>(a)), std::fabs(in<FTZ>(b)));
      return r != r ? r : std::copysign(r, std::signbit(a) != std::signbit(b) ? -1.0f : 1.0f);
    });
  }
  return lanes([](float a, float b) -> float { return extreme<float, LARGER, NAN_WINS>(in<FTZ>(a), in<FTZ>(b)); });
}

template <bool FTZ>
Run extremeOf(bool larger, bool nanWins, bool absolute) {
  if (larger) return nanWins ? extremeRun<FTZ, true, true>(absolute) : extremeRun<FTZ, true, false>(absolute);
  return nanWins ? extremeRun<FTZ, false, true>(absolute) : extremeRun<FTZ, false, false>(absolute);
}

void doubleArithmetic(Decoder& d, const std::string& op, int rounding) {
  d.out.cls = Counts::DOUBLE;
  bool approximate = d.has("approx");
  if (approximate) d.ignore({"ftz"});
  bool unary = op == "abs" || op == "neg" || op == "sqrt" || op == "rcp" || op == "rsqrt";
  bool ternary = op == "fma" || op == "mad";
  d.operands(unary ? 2 : ternary ? 4 : 3);
  d.out.d = d.destination(0, Type::F64);
  d.out.a = d.source(1, Type::F64);
  if (!unary) d.out.b = d.source(2, Type::F64);
  if (ternary) d.out.c = d.source(3, Type::F64);
  if (rounding > 0) {
    d.out.run = directedDouble(op, rounding);
  } else if (op == "add") {
    d.out.run = lanes([](double a, double b) -> double { return a + b; });
  } else if (op == "sub") {
    d.out.run = lanes([](double a, double b) -> double { return a - b; });
  } else if (op == "mul") {
    d.out.run = lanes([](double a, double b) -> double { return a * b; });
  } else if (op == "div") {
    d.out.run = lanes([](double a, double b) -> double { return a / b; });
  } else if (ternary) {
    d.out.run = lanes([](double a, double b, double c) -> double { return std::fma(a, b, c); });
  } else if (op == "min") {
    d.out.run = lanes([](double a, double b) -> double { return extreme<double, false, false>(a, b); });
  } else if (op == "max") {
    d.out.run = lanes([](double a, double b) -> double { return extreme<double, true, false>(a, b); });
  } else if (op == "abs") {
    d.out.run = lanes([](double a) -> double { return std::fabs(a); });
  } else if (op == "neg") {
    d.out.run = lanes([](double a) -> double { return -a; });
  } else if (op == "sqrt") {
    d.out.run = lanes([](double a) -> double { return std::sqrt(a); });
  } else if (op == "rcp") {
    d.out.run = lanes([](double a) -> double { return 1.0 / a; });
  } else if (op == "rsqrt") {
    d.out.run = lanes([](double a) -> double { return 1.0 / std::sqrt(a); });
  }
  if (d.out.run == nullptr) d.fail("no .f64 form");
}

void copySign(Decoder& d) {
  Type t = d.type();
  d.operands(3);
  d.out.cls = Counts::FLOAT;
  d.out.d = d.destination(0, t);
  d.out.a = d.source(1, t);
  d.out.b = d.source(2, t);
  if (t == Type::F32) {
    d.out.run = lanes([](float a, float b) -> float { return std::copysign(b, a); });
  } else if (t == Type::F64) {
    d.out.run = lanes([](double a, double b) -> double { return std::copysign(b, a); });
  } else {
    d.fail("needs .f32 or .f64");
  }
}

template <class T>
void testProperty(Warp& w, const Instr& i) {
  const T* a = w.at<T>(i.a);
  std::uint32_t r = 0;
  for (unsigned l = 0; l < LANES; l++) {
    int c = std::fpclassify(a[l]);
    bool is = false;
    switch (i.flags) {
      case 0: is = c != FP_INFINITE && c != FP_NAN; break;
      case 1: is = c == FP_INFINITE; break;
      case 2: is = c != FP_NAN; break;
      case 3: is = c == FP_NAN; break;
      case 4: is = c == FP_NORMAL; break;
      default: is = c == FP_SUBNORMAL; break;
    }
    r |= static_cast<std::uint32_t>(is) << l;
  }
  storePredicate(w, i.d, r);
}

void testp(Decoder& d) {
  int property = d.oneOf({"finite", "infinite", "number", "notanumber", "normal", "subnormal"});
  Type t = d.type();
  if (property < 0 || (t != Type::F32 && t != Type::F64)) d.fail("unknown form");
  d.operands(2);
  d.out.cls = Counts::COMPARE;
  d.out.flags = static_cast<std::uint32_t>(property);
  d.out.d = d.predicateOut(d.operand(0));
  d.out.a = d.source(1, t);
  d.out.run = t == Type::F32 ? &testProperty<float> : &testProperty<double>;
}

void arithmetic(Decoder& d) {
  // The type of a mixed instruction (fma.rn.f32.f16) would come twice; those are of sm_100 and refused by finish().
  Type t = d.type();
  if (t == Type::F32 || t == Type::F64) return floatArithmetic(d, t);
  if (t == Type::F16 || t == Type::F16X2 || t == Type::BF16 || t == Type::BF16X2) return halfArithmetic(d, t);
  integerArithmetic(d, t);
}
}  // namespace

void floatArithmetic(Decoder& d, Type t) {
  const std::string& op = d.in.opcode;
  int rounding = d.oneOf({"rn", "rz", "rm", "rp"});
  if (t == Type::F64) return doubleArithmetic(d, op, rounding);
  bool special = op == "sin" || op == "cos" || op == "ex2" || op == "lg2" || op == "tanh" || op == "rsqrt" || op == "rcp" || op == "sqrt";
  d.out.cls = special || op == "div" ? Counts::SPECIAL : Counts::FLOAT;
  bool approximate = d.oneOf({"approx", "full"}) >= 0;
  bool ftz = d.has("ftz"), sat = d.has("sat");
  if (sat && (special || op == "div")) d.fail(".sat is not supported here");
  bool unary = special || op == "abs" || op == "neg";
  bool ternary = op == "fma" || op == "mad";
  d.operands(unary ? 2 : ternary ? 4 : 3);
  d.out.d = d.destination(0, t);
  d.out.a = d.source(1, t);
  if (!unary) d.out.b = d.source(2, t);
  if (ternary) d.out.c = d.source(3, t);
  if (op == "abs") {
    d.out.run = ftz ? lanes([](float a) -> float { return std::fabs(flush(a)); }) : lanes([](float a) -> float { return std::fabs(a); });
  } else if (op == "neg") {
    d.out.run = ftz ? lanes([](float a) -> float { return -flush(a); }) : lanes([](float a) -> float { return -a; });
  } else if (op == "min" || op == "max") {
    bool nanWins = d.has("NaN"), absolute = d.has("xorsign");
    if (absolute && !d.has("abs")) d.fail(".xorsign needs .abs");
    d.out.run = ftz ? extremeOf<true>(op == "max", nanWins, absolute) : extremeOf<false>(op == "max", nanWins, absolute);
  } else if (rounding > 0 && !approximate) {
    if (ftz || sat) {
      d.out.flags = (ftz ? 1u : 0u) | (sat ? 2u : 0u);
    }
    d.out.run = directedFloat(op, rounding);
  } else if (special) {
    d.out.run = ftz ? function<true>(op) : function<false>(op);
  } else {
    d.out.run = ftz ? (sat ? basic<true, true>(op) : basic<true, false>(op)) : (sat ? basic<false, true>(op) : basic<false, false>(op));
  }
  if (d.out.run == nullptr) d.fail("no .f32 form");
}

void addFloat(DecodeTable& table) {
  for (const char* op : {"add", "sub", "mul", "mad", "fma", "div", "rem", "abs", "neg", "min", "max", "sqrt", "rcp", "rsqrt", "sin", "cos", "ex2", "lg2", "tanh", "addc", "subc", "madc"}) {
    table[op] = &arithmetic;
  }
  table["copysign"] = &copySign;
  table["testp"] = &testp;
}

}  // namespace lacuna::emulator
