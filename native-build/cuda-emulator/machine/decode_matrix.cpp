// SPDX-License-Identifier: Apache-2.0
// ldmatrix, mma and mma.sp. In the fragments lane l belongs to group g = l / 4 with place t = l % 4; a register holds
// e = 32 / bits neighbouring elements along k.
#include <algorithm>
#include <cmath>
#include <memory>
#include <mutex>
#include <type_traits>
#include <vector>

#include "access.h"
#include "decode.h"
#include "half.h"

namespace lacuna::emulator {

namespace {
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using s32 = std::int32_t;
using s64 = std::int64_t;

constexpr unsigned MOST_K = 128;

// ---- element types: U is what products are computed in ---------------------------------------------------------------

struct S8 {
  static constexpr unsigned BITS = 8;
  using U = s32;
  static U of(u32 v) { return static_cast<std::int8_t>(v); }
};
struct U8 {
  static constexpr unsigned BITS = 8;
  using U = s32;
  static U of(u32 v) { return static_cast<std::uint8_t>(v); }
};
struct S4 {
  static constexpr unsigned BITS = 4;
  using U = s32;
  static U of(u32 v) { return static_cast<s32>(v << 28) >> 28; }
};
struct U4 {
  static constexpr unsigned BITS = 4;
  using U = s32;
  static U of(u32 v) { return static_cast<s32>(v & 15); }
};
struct Half {
  static constexpr unsigned BITS = 16;
  using U = double;
  static U of(u32 v) { return static_cast<double>(F16::widen(low16(v))); }
};
struct Brain {
  static constexpr unsigned BITS = 16;
  using U = double;
  static U of(u32 v) { return static_cast<double>(BF16::widen(low16(v))); }
};
struct Tensor32 {
  static constexpr unsigned BITS = 32;
  using U = double;
  static U of(u32 v) { return static_cast<double>(std::bit_cast<float>(v & ~0x1fffu)); }
};

struct Shape {
  unsigned m, n, k;
};

/// What an mma needs beside its types. Kept for the life of the program, as decoded instructions point to it.
struct Matrix {
  Shape shape;
  bool sparse, ordered, saturate, halfSums;
  unsigned selector;
};

const Matrix* keep(const Matrix& m) {
  static std::vector<std::unique_ptr<Matrix>>* const kept = new std::vector<std::unique_ptr<Matrix>>;
  static std::mutex* const mutex = new std::mutex;
  std::lock_guard lock(*mutex);
  kept->push_back(std::make_unique<Matrix>(m));
  return kept->back().get();
}

/// a[row][k] of a dense fragment whose rows have k columns.
template <class E>
void gatherA(const Warp& w, const u32* refs, unsigned rows, unsigned k, typename E::U (*a)[MOST_K]) {
  constexpr unsigned PER = 32 / E::BITS;
  unsigned halves = rows / 8, registers = halves * k / (4 * PER);
  for (unsigned r = 0; r < registers; r++) {
    const u32* reg = w.at<u32>(refs[r]);
    for (unsigned l = 0; l < LANES; l++) {
      unsigned row = l / 4 + 8 * (r % halves), column = l % 4 * PER + r / halves * 4 * PER;
      for (unsigned x = 0; x < PER; x++) a[row][column + x] = E::of(reg[l] >> (x * E::BITS % 32));
    }
  }
}

template <class E>
void gatherB(const Warp& w, const u32* refs, unsigned k, typename E::U (*b)[8]) {
  constexpr unsigned PER = 32 / E::BITS;
  for (unsigned r = 0; r < k / (4 * PER); r++) {
    const u32* reg = w.at<u32>(refs[r]);
    for (unsigned l = 0; l < LANES; l++) {
      unsigned row = l % 4 * PER + r * 4 * PER;
      for (unsigned x = 0; x < PER; x++) b[row + x][l / 4] = E::of(reg[l] >> (x * E::BITS % 32));
    }
  }
}

/// Position of the four bits of metadata for a group of four columns: the lane and the shift.
struct Nibble {
  unsigned lane, shift;
};
Nibble metadataAt(const Matrix& m, unsigned elementBits, unsigned row, unsigned group) {
  unsigned g = row % 8, upper = row / 8;
  if (elementBits == 16) {
    // 16 columns of row g in the low half, of row g + 8 in the high half; one lane of four for k 16, two for k 32.
    unsigned first = m.shape.k == 16 ? m.selector : m.selector * 2;
    return {4 * g + first + group / 4, upper * 16 + group % 4 * 4};
  }
  // 32 columns of one row fill a register; two lanes of four for k 32, all for k 64.
  unsigned first = m.shape.k == 32 ? m.selector * 2 : 0;
  return {4 * g + first + upper + group / 8 * 2, group % 8 * 4};
}

/// Spreads the kept elements of each row to their columns.
template <class E>
void expand(const Warp& w, const Instr& i, const Matrix& m, u32 metadata, typename E::U (*a)[MOST_K]) {
  using U = typename E::U;
  const u32* e = w.at<u32>(metadata);
  for (unsigned row = 0; row < 16; row++) {
    U kept[MOST_K / 2];
    std::copy_n(a[row], m.shape.k / 2, kept);
    std::fill_n(a[row], m.shape.k, U{});
    for (unsigned group = 0; group < m.shape.k / 4; group++) {
      Nibble at = metadataAt(m, E::BITS, row, group);
      u32 bits = e[at.lane] >> at.shift & 15, first = bits & 3, second = bits >> 2;
      if (first == second || (m.ordered && first > second)) {
        w.fail(i, Fault::METADATA, at.lane,
               "metadata of row " + std::to_string(row) + ", columns " + std::to_string(group * 4) + " to " + std::to_string(group * 4 + 3) + " names elements " + std::to_string(first) +
                   " and " + std::to_string(second) + (first == second ? ": they must differ" : ": they must ascend"));
      }
      a[row][group * 4 + first] = kept[group * 2];
      a[row][group * 4 + second] = kept[group * 2 + 1];
    }
  }
}

/// References in Program::extras: 4 of d, then of c, then of a, b and the metadata.
template <class A, class B>
void multiply(Warp& w, const Instr& i) {
  using U = typename A::U;
  static_assert(std::is_same_v<U, typename B::U>);
  const Matrix& m = *static_cast<const Matrix*>(i.aux);
  const u32* refs = &w.block->program->extras[i.extra];
  alignas(64) U a[16][MOST_K];
  alignas(64) U b[MOST_K][8];
  unsigned k = m.shape.k, rows = m.shape.m;
  gatherA<A>(w, refs + 8, rows, m.sparse ? k / 2 : k, a);
  gatherB<B>(w, refs + 12, k, b);
  if (m.sparse) expand<A>(w, i, m, refs[16], a);
  u32 out[4][LANES];
  unsigned halves = rows / 8;
  alignas(64) U sums[16][8] = {};
  for (unsigned row = 0; row < rows; row++) {
    for (unsigned x = 0; x < k; x++) {
      for (unsigned n = 0; n < 8; n++) sums[row][n] += a[row][x] * b[x][n];
    }
  }
  for (unsigned l = 0; l < LANES; l++) {
    for (unsigned half = 0; half < halves; half++) {
      unsigned row = l / 4 + 8 * half;
      const U* sum = &sums[row][l % 4 * 2];
      if constexpr (std::is_same_v<U, s32>) {
        for (unsigned x = 0; x < 2; x++) {
          unsigned r = half * 2 + x;
          s64 total = static_cast<s64>(sum[x]) + static_cast<s32>(w.at<u32>(refs[4 + r])[l]);
          if (m.saturate) total = total > INT32_MAX ? INT32_MAX : total < INT32_MIN ? INT32_MIN : total;
          out[r][l] = static_cast<u32>(total);
        }
      } else if (m.halfSums) {
        u32 c = w.at<u32>(refs[4 + half])[l];
        out[half][l] = pack16(F16::narrow(oddFloat(oddSum(sum[0], static_cast<double>(F16::widen(low16(c)))))),
                              F16::narrow(oddFloat(oddSum(sum[1], static_cast<double>(F16::widen(high16(c)))))));
      } else {
        for (unsigned x = 0; x < 2; x++) {
          unsigned r = half * 2 + x;
          out[r][l] = std::bit_cast<u32>(canonical(static_cast<float>(sum[x] + static_cast<double>(w.at<float>(refs[4 + r])[l]))));
        }
      }
    }
  }
  for (unsigned r = 0; r < (m.halfSums ? halves : halves * 2); r++) std::memcpy(w.at<u32>(refs[r]), out[r], sizeof out[r]);
  std::uint64_t count = std::uint64_t{rows} * 8 * k;
  Counts& counts = w.block->worker->counts;
  (m.sparse ? counts.sparseMultiplyAdds : counts.denseMultiplyAdds) += count;
}

void multiplyDouble(Warp& w, const Instr& i) {
  const u32* refs = &w.block->program->extras[i.extra];
  const double* a = w.at<double>(refs[8]);
  const double* b = w.at<double>(refs[12]);
  double out[2][LANES];
  for (unsigned l = 0; l < LANES; l++) {
    for (unsigned x = 0; x < 2; x++) {
      double sum = w.at<double>(refs[4 + x])[l];
      for (unsigned k = 0; k < 4; k++) sum = std::fma(a[l / 4 * 4 + k], b[(l % 4 * 2 + x) * 4 + k], sum);
      out[x][l] = sum;
    }
  }
  for (unsigned x = 0; x < 2; x++) std::memcpy(w.at<double>(refs[x]), out[x], sizeof out[x]);
  w.block->worker->counts.denseMultiplyAdds += 8 * 8 * 4;
}

template <class A>
Run withB(const std::string& b) {
  if (b == "s8") return &multiply<A, S8>;
  if (b == "u8") return &multiply<A, U8>;
  return nullptr;
}
template <class A>
Run withNarrowB(const std::string& b) {
  if (b == "s4") return &multiply<A, S4>;
  if (b == "u4") return &multiply<A, U4>;
  return nullptr;
}

struct Form {
  const char* type;
  unsigned bits;
  std::vector<unsigned> dense, sparse;  ///< k of m16n8k..
};
const Form FORMS[] = {{"s8", 8, {16, 32}, {32, 64}}, {"u8", 8, {16, 32}, {32, 64}}, {"s4", 4, {32, 64}, {}}, {"u4", 4, {32, 64}, {}},
                      {"f16", 16, {8, 16}, {16, 32}}, {"bf16", 16, {8, 16}, {16, 32}}, {"tf32", 32, {4, 8}, {}}};

Shape shapeNamed(Decoder& d) {
  for (const auto& modifier : d.in.modifiers) {
    unsigned m = 0, n = 0, k = 0;
    if (std::sscanf(modifier.c_str(), "m%un%uk%u", &m, &n, &k) == 3) {
      d.has(modifier);
      return {m, n, k};
    }
  }
  d.fail("expected a shape");
}

void mma(Decoder& d) {
  bool sparse = d.has("sp"), ordered = d.has("sp::ordered_metadata");
  sparse |= ordered;
  if (!d.has("sync") || !d.has("aligned")) d.fail("needs .sync.aligned");
  Shape shape = shapeNamed(d);
  if (!d.has("row") || !d.has("col")) d.fail("only .row.col is supported");
  bool saturate = d.has("satfinite");
  std::string td = d.next(), ta = d.next(), tb = d.next(), tc = d.next();
  d.out.cls = Counts::TENSOR;
  d.out.control = Control::WARP;
  const Form* form = nullptr;
  for (const Form& f : FORMS) {
    if (ta == f.type) form = &f;
  }
  bool real = ta == "f64";
  unsigned halves = shape.m / 8;
  if (real) {
    if (sparse || shape.m != 8 || shape.n != 8 || shape.k != 4 || tb != "f64" || tc != "f64" || td != "f64") d.fail("unknown form");
    d.out.run = &multiplyDouble;
  } else {
    if (form == nullptr) d.fail("elements of type ." + ta + " are not supported");
    auto has = [&](const std::vector<unsigned>& list) { return std::find(list.begin(), list.end(), shape.k) != list.end(); };
    bool small = shape.m == 8 && shape.n == 8 && !sparse && ((form->bits == 8 && shape.k == 16) || (form->bits == 4 && shape.k == 32));
    if (!small && (shape.m != 16 || shape.n != 8 || !has(sparse ? form->sparse : form->dense))) d.fail("shape is not supported for ." + ta);
    if (form->bits <= 8) {
      if (td != "s32" || tc != "s32") d.fail("integer sums are .s32");
      d.out.run = ta == "s8" ? withB<S8>(tb) : ta == "u8" ? withB<U8>(tb) : ta == "s4" ? withNarrowB<S4>(tb) : withNarrowB<U4>(tb);
    } else {
      if (ta != tb) d.fail("the types of a and b differ");
      if (td != tc || (td != "f32" && !(td == "f16" && ta == "f16"))) d.fail("sums of ." + td + " and ." + tc + " are not supported");
      d.out.run = ta == "f16" ? &multiply<Half, Half> : ta == "bf16" ? &multiply<Brain, Brain> : &multiply<Tensor32, Tensor32>;
    }
    if (d.out.run == nullptr) d.fail("types ." + ta + " and ." + tb + " do not go together");
  }
  if (saturate && (real || form->bits > 8)) d.fail(".satfinite is for integers");
  Matrix m{shape, sparse, ordered, saturate, td == "f16", 0};
  d.operands(sparse ? 6 : 4);
  unsigned sums = real ? 2 : m.halfSums ? halves : halves * 2;
  unsigned aCount = real ? 1 : halves * (sparse ? shape.k / 2 : shape.k) * form->bits / 128;
  unsigned bCount = real ? 1 : shape.k * form->bits / 128;
  Type word = real ? Type::F64 : Type::B32;
  Type sumWord = real ? Type::F64 : td == "f32" ? Type::F32 : Type::B32;
  auto list = [&](std::size_t k, unsigned count, unsigned slots, bool destination) {
    const Operand& o = d.operand(k);
    bool single = o.kind != Operand::VECTOR;
    if ((single ? 1 : o.elements.size()) != count) d.fail("operand " + std::to_string(k + 1) + " needs " + std::to_string(count) + " registers");
    for (unsigned r = 0; r < slots; r++) {
      u32 ref = NO_REF;
      if (r < count) {
        const Operand& e = single ? o : o.elements[r];
        ref = destination ? d.destination(e, k == 0 ? sumWord : word) : d.source(e, k == 3 ? sumWord : word);
      }
      unsigned at = d.names.extra(ref);
      if (k == 0 && r == 0) d.out.extra = at;
    }
  };
  list(0, sums, 4, true);
  list(3, sums, 4, false);
  list(1, aCount, 4, false);
  list(2, bCount, 4, false);
  if (sparse) {
    list(4, 1, 1, false);
    std::int64_t selector = d.immediate(5);
    unsigned most = form->bits == 16 ? (shape.k == 16 ? 3 : 1) : shape.k == 32 ? 1 : 0;
    if (selector < 0 || selector > most) d.fail("the selector must be at most " + std::to_string(most));
    m.selector = static_cast<unsigned>(selector);
  }
  d.out.aux = keep(m);
}

// ---- ldmatrix --------------------------------------------------------------------------------------------------------

void loadMatrix(Warp& w, const Instr& i) {
  alignas(64) Address addresses[LANES];
  addressesOf(w, i, addresses);
  unsigned count = i.count;
  u32 rows = count == 4 ? ALL_LANES : (1u << (count * 8)) - 1;
  Request request;
  accessShared(w, i, addresses, 16, Access::LOAD, rows, request);
  const u32* refs = &w.block->program->extras[i.extra];
  u32 out[4][LANES];
  for (unsigned k = 0; k < count; k++) {
    for (unsigned l = 0; l < LANES; l++) {
      if (i.flags != 0) {
        u16 pair[2];
        for (unsigned x = 0; x < 2; x++) std::memcpy(&pair[x], request.at[k * 8 + l % 4 * 2 + x] + l / 4 * 2, 2);
        out[k][l] = pack16(pair[0], pair[1]);
      } else {
        std::memcpy(&out[k][l], request.at[k * 8 + l / 4] + l % 4 * 4, 4);
      }
    }
  }
  for (unsigned k = 0; k < count; k++) std::memcpy(w.at<u32>(refs[k]), out[k], sizeof out[k]);
}

void ldmatrix(Decoder& d) {
  if (!d.has("sync") || !d.has("aligned") || !d.has("m8n8")) d.fail("needs .sync.aligned.m8n8");
  int count = d.oneOf({"x1", "x2", "x4"});
  bool transposed = d.has("trans");
  if (count < 0 || d.oneOf({"shared", "shared::cta"}) < 0 || d.type() != Type::B16) d.fail("unknown form");
  d.operands(2);
  d.out.cls = Counts::MATRIX_LOAD;
  d.out.control = Control::WARP;
  d.out.count = static_cast<std::uint8_t>(1 << count);
  d.out.bytes = 16;
  d.out.flags = transposed;
  Space space = Space::SHARED;
  bool parameter = false;
  d.address(1, space, parameter);
  if (space != Space::SHARED || parameter) d.fail("the address lies in another space");
  const Operand& o = d.operand(0);
  bool single = o.kind != Operand::VECTOR;
  if ((single ? 1u : o.elements.size()) != d.out.count) d.fail("expected " + std::to_string(d.out.count) + " registers");
  for (unsigned k = 0; k < d.out.count; k++) {
    unsigned at = d.names.extra(d.destination(single ? o : o.elements[k], Type::B32));
    if (k == 0) d.out.extra = at;
  }
  d.out.run = &loadMatrix;
}
}  // namespace

void addMatrix(DecodeTable& table) {
  table["mma"] = &mma;
  table["ldmatrix"] = &ldmatrix;
}

}  // namespace lacuna::emulator
