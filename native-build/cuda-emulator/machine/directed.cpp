// SPDX-License-Identifier: Apache-2.0
// Compiled with -frounding-math.
#include "directed.h"

#include <cfenv>
#include <cmath>

#include "half.h"
#include "lanes.h"

namespace lacuna::emulator {

namespace {
int modeOf(int rounding) { return rounding == 1 ? FE_TOWARDZERO : rounding == 2 ? FE_DOWNWARD : rounding == 3 ? FE_UPWARD : FE_TONEAREST; }

struct Rounding {
  explicit Rounding(int mode) : before(std::fegetround()) { std::fesetround(mode); }
  ~Rounding() { std::fesetround(before); }
  int before;
};

enum Op { ADD, SUB, MUL, DIV, FMA, RCP, SQRT };

template <class T>
float flushed(T v) {
  return std::fabs(v) < T(1.17549435e-38) ? std::copysign(T(0), v) : v;
}

template <class T, Op OP, int ROUNDING>
void run(Warp& w, const Instr& i) {
  Rounding mode(modeOf(ROUNDING));
  T out[LANES];
  const T* a = w.at<T>(i.a);
  const T* b = i.b == NO_REF ? a : w.at<T>(i.b);
  const T* c = i.c == NO_REF ? a : w.at<T>(i.c);
  for (unsigned l = 0; l < LANES; l++) {
    volatile T x = a[l], y = b[l], z = c[l];
    if (sizeof(T) == 4 && (i.flags & 1)) {
      x = flushed(static_cast<float>(x));
      y = flushed(static_cast<float>(y));
      z = flushed(static_cast<float>(z));
    }
    volatile T r = 0;
    if (OP == ADD) r = x + y;
    if (OP == SUB) r = x - y;
    if (OP == MUL) r = x * y;
    if (OP == DIV) r = x / y;
    if (OP == FMA) r = std::fma(static_cast<T>(x), static_cast<T>(y), static_cast<T>(z));
    if (OP == RCP) r = T(1) / x;
    if (OP == SQRT) r = std::sqrt(static_cast<T>(x));
    out[l] = r;
    if constexpr (sizeof(T) == 4) {
      if (i.flags & 1) out[l] = flushed(out[l]);
      if (i.flags & 2) out[l] = out[l] != out[l] || out[l] < 0 ? 0 : out[l] > 1 ? 1 : out[l];
      out[l] = canonical(out[l]);
    }
  }
  detail::store(w.at<T>(i.d), out, w.mask);
}

template <class T, int ROUNDING>
Run pick(const std::string& op) {
  if (op == "add") return &run<T, ADD, ROUNDING>;
  if (op == "sub") return &run<T, SUB, ROUNDING>;
  if (op == "mul") return &run<T, MUL, ROUNDING>;
  if (op == "div") return &run<T, DIV, ROUNDING>;
  if (op == "fma" || op == "mad") return &run<T, FMA, ROUNDING>;
  if (op == "rcp") return &run<T, RCP, ROUNDING>;
  if (op == "sqrt") return &run<T, SQRT, ROUNDING>;
  return nullptr;
}

template <class T>
Run pickRounding(const std::string& op, int rounding) {
  return rounding == 1 ? pick<T, 1>(op) : rounding == 2 ? pick<T, 2>(op) : pick<T, 3>(op);
}

template <class To, class From>
To convert(From v, int rounding) {
  Rounding mode(modeOf(rounding));
  volatile From in = v;
  volatile To out = static_cast<To>(in);
  return out;
}
}  // namespace

Run directedFloat(const std::string& op, int rounding) { return pickRounding<float>(op, rounding); }
Run directedDouble(const std::string& op, int rounding) { return pickRounding<double>(op, rounding); }
float narrowDirected(double v, int rounding) { return convert<float>(v, rounding); }
float toFloatDirected(std::int64_t v, int rounding) { return convert<float>(v, rounding); }
double toDoubleDirected(std::int64_t v, int rounding) { return convert<double>(v, rounding); }

namespace {
/// 64-bit unsigned conversions are composed by the compiler and would round twice: the last bits are made sticky first.
template <class To>
To fromUnsigned(std::uint64_t v, int rounding) {
  if (v >> 63 == 0) return convert<To>(static_cast<std::int64_t>(v), rounding);
  auto half = static_cast<std::int64_t>(v >> 1 | (v & 1));
  return convert<To>(half, rounding) * 2;
}
}  // namespace
float toFloatDirected(std::uint64_t v, int rounding) { return fromUnsigned<float>(v, rounding); }
double toDoubleDirected(std::uint64_t v, int rounding) { return fromUnsigned<double>(v, rounding); }

}  // namespace lacuna::emulator
