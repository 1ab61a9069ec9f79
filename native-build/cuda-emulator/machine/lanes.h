// SPDX-License-Identifier: Apache-2.0
// Handlers made from functions of one lane. Inactive lanes are computed and thrown away, so the functions must be
// total.
#pragma once

#include "warp.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace lacuna::emulator {

namespace detail {
template <class D>
inline void store(D* d, const D* t, std::uint32_t mask) {
  if (mask == ALL_LANES) {
    std::memcpy(d, t, sizeof(D) * LANES);
  } else {
    for (unsigned l = 0; l < LANES; l++) d[l] = (mask >> l & 1) ? t[l] : d[l];
  }
}

inline std::uint32_t maskOf(const bool* t) {
#if defined(__AVX2__)
  __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(t));
  return static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_slli_epi16(bytes, 7)));
#else
  std::uint32_t mask = 0;
  for (unsigned l = 0; l < LANES; l++) mask |= static_cast<std::uint32_t>(t[l]) << l;
  return mask;
#endif
}

template <class F, class A>
void unary(Warp& w, const Instr& i) {
  using D = decltype(F{}(A()));
  alignas(64) D t[LANES];
  const A* a = w.at<A>(i.a);
  for (unsigned l = 0; l < LANES; l++) t[l] = F{}(a[l]);
  store(w.at<D>(i.d), t, w.mask);
}

template <class F, class A, class B>
void binary(Warp& w, const Instr& i) {
  using D = decltype(F{}(A(), B()));
  alignas(64) D t[LANES];
  const A* a = w.at<A>(i.a);
  const B* b = w.at<B>(i.b);
  for (unsigned l = 0; l < LANES; l++) t[l] = F{}(a[l], b[l]);
  store(w.at<D>(i.d), t, w.mask);
}

template <class F, class A, class B, class C>
void ternary(Warp& w, const Instr& i) {
  using D = decltype(F{}(A(), B(), C()));
  alignas(64) D t[LANES];
  const A* a = w.at<A>(i.a);
  const B* b = w.at<B>(i.b);
  const C* c = w.at<C>(i.c);
  for (unsigned l = 0; l < LANES; l++) t[l] = F{}(a[l], b[l], c[l]);
  store(w.at<D>(i.d), t, w.mask);
}

/// A comparison: its result is a mask.
template <class F, class A>
std::uint32_t maskedBy(const Warp& w, const Instr& i) {
  alignas(64) bool t[LANES];
  const A* a = w.at<A>(i.a);
  const A* b = w.at<A>(i.b);
  for (unsigned l = 0; l < LANES; l++) t[l] = F{}(a[l], b[l]);
  return maskOf(t);
}

template <class F, class R, class A>
constexpr Run pick(R (F::*)(A) const) {
  return &unary<F, A>;
}
template <class F, class R, class A, class B>
constexpr Run pick(R (F::*)(A, B) const) {
  return &binary<F, A, B>;
}
template <class F, class R, class A, class B, class C>
constexpr Run pick(R (F::*)(A, B, C) const) {
  return &ternary<F, A, B, C>;
}
}  // namespace detail

/// The handler d = f(a), f(a, b) or f(a, b, c) for a lambda over the register types that captures nothing.
template <class F>
constexpr Run lanes(F) {
  return detail::pick<F>(&F::operator());
}

inline void storePredicate(Warp& w, Ref ref, std::uint32_t value) {
  std::uint32_t& p = w.predicate(ref);
  p = (p & ~w.mask) | (value & w.mask);
}

}  // namespace lacuna::emulator
