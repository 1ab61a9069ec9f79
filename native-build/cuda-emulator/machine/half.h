// SPDX-License-Identifier: Apache-2.0
// 16-bit floats as bits.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace lacuna::emulator {

constexpr std::uint16_t NAN16 = 0x7fff;  ///< of f16 and of bf16
constexpr std::uint32_t NAN32 = 0x7fffffff;

inline float canonical(float v) { return v == v ? v : std::bit_cast<float>(NAN32); }

/// The float next to d on the side that keeps its last bit odd when d is not exact: rounding it again to fewer bits
/// gives what one rounding of d would (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums").
inline float oddFloat(double d) {
  auto f = static_cast<float>(d);
  if (static_cast<double>(f) == d || !(std::fabs(d) <= 3.4028234663852886e38)) return f;
  auto bits = std::bit_cast<std::uint32_t>(f);
  if ((bits & 1) == 0) bits = std::fabs(static_cast<double>(f)) < std::fabs(d) ? bits + 1 : bits - 1;
  return std::bit_cast<float>(bits);
}

/// a + b rounded to odd.
inline double oddSum(double a, double b) {
  double s = a + b;
  if (!std::isfinite(s)) return s;
  double part = s - a;
  double error = (a - (s - part)) + (b - part);
  auto bits = std::bit_cast<std::uint64_t>(s);
  if (error != 0 && (bits & 1) == 0) bits = (error > 0) == (s > 0) ? bits + 1 : bits - 1;
  return std::bit_cast<double>(bits);
}

struct F16 {
  static float widen(std::uint16_t v) { return static_cast<float>(std::bit_cast<_Float16>(v)); }
  static std::uint16_t narrow(float v) { return v == v ? std::bit_cast<std::uint16_t>(static_cast<_Float16>(v)) : NAN16; }
  static constexpr std::uint16_t INFINITE = 0x7c00;
  static constexpr std::uint16_t ONE = 0x3c00;
};

struct BF16 {
  static float widen(std::uint16_t v) { return std::bit_cast<float>(static_cast<std::uint32_t>(v) << 16); }
  static std::uint16_t narrow(float v) {
    if (v != v) return NAN16;
    auto bits = std::bit_cast<std::uint32_t>(v);
    return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
  }
  static constexpr std::uint16_t INFINITE = 0x7f80;
  static constexpr std::uint16_t ONE = 0x3f80;
};

/// Towards zero. Values beyond the largest become the largest.
template <class H>
std::uint16_t narrowDown(float v) {
  std::uint16_t r = H::narrow(v);
  if (v != v || std::isinf(v)) return r;
  if (std::fabs(H::widen(r)) > std::fabs(v)) r--;
  return r;
}

inline std::uint16_t low16(std::uint32_t v) { return static_cast<std::uint16_t>(v); }
inline std::uint16_t high16(std::uint32_t v) { return static_cast<std::uint16_t>(v >> 16); }
inline std::uint32_t pack16(std::uint16_t low, std::uint16_t high) { return static_cast<std::uint32_t>(high) << 16 | low; }

}  // namespace lacuna::emulator
