// SPDX-License-Identifier: Apache-2.0
// Fragment maps of mma, mma.sp and ldmatrix as the manual words them for element i of lane l, against products of whole
// matrices. g: groupID, t: threadID_in_group.
#include <bit>
#include <cmath>
#include <functional>
#include <random>

#include "harness.h"

using namespace lacuna::emulator;
using namespace lacuna::emulator::test;

namespace {
struct Place {
  unsigned row, column;
};
using Map = std::function<Place(unsigned g, unsigned t, unsigned i)>;

struct Element {
  unsigned bits;
  bool isSigned;
  std::uint32_t (*encode)(int value);
};
std::uint32_t integerBits(int v) { return static_cast<std::uint32_t>(v); }
std::uint32_t halfBits(int v) { return v == 0 ? 0 : std::bit_cast<std::uint16_t>(static_cast<_Float16>(static_cast<float>(v))); }
std::uint32_t brainBits(int v) { return std::bit_cast<std::uint32_t>(static_cast<float>(v)) >> 16; }
std::uint32_t floatBits(int v) { return std::bit_cast<std::uint32_t>(static_cast<float>(v)); }
const Element SIGNED8{8, true, integerBits}, UNSIGNED8{8, false, integerBits}, SIGNED4{4, true, integerBits}, UNSIGNED4{4, false, integerBits}, HALF{16, true, halfBits}, BRAIN{16, true, brainBits},
    TF32{32, true, floatBits};

unsigned second(unsigned i, unsigned from) { return i >= from ? 1u : 0u; }

struct Form {
  const char* name;
  unsigned m, k;
  unsigned aRegisters, bRegisters, sumRegisters;
  Element a, b;
  char sum;  ///< i, f or h
  Map mapA, mapB;
};

Place accumulator(unsigned g, unsigned t, unsigned i) { return {g + 8 * (i / 2), t * 2 + i % 2}; }

const Map A_HALF_8 = [](unsigned g, unsigned t, unsigned i) { return Place{i < 2 ? g : g + 8, t * 2 + (i & 1)}; };
const Map A_HALF_16 = [](unsigned g, unsigned t, unsigned i) { return Place{i < 2 || (4 <= i && i < 6) ? g : g + 8, t * 2 + (i & 1) + 8 * second(i, 4)}; };
const Map B_HALF = [](unsigned g, unsigned t, unsigned i) { return Place{t * 2 + (i & 1) + 8 * (i / 2), g}; };
const Map A_BYTE_16 = [](unsigned g, unsigned t, unsigned i) { return Place{i < 4 ? g : g + 8, t * 4 + (i & 3)}; };
const Map A_BYTE_32 = [](unsigned g, unsigned t, unsigned i) { return Place{i < 4 || (8 <= i && i < 12) ? g : g + 8, t * 4 + (i & 3) + 16 * second(i, 8)}; };
const Map B_BYTE = [](unsigned g, unsigned t, unsigned i) { return Place{t * 4 + (i & 3) + 16 * (i / 4), g}; };
const Map A_NIBBLE_32 = [](unsigned g, unsigned t, unsigned i) { return Place{i < 8 ? g : g + 8, t * 8 + (i & 7)}; };
const Map A_NIBBLE_64 = [](unsigned g, unsigned t, unsigned i) { return Place{i < 8 || (16 <= i && i < 24) ? g : g + 8, t * 8 + (i & 7) + 32 * second(i, 16)}; };
const Map B_NIBBLE = [](unsigned g, unsigned t, unsigned i) { return Place{t * 8 + (i & 7) + 32 * (i / 8), g}; };
const Map A_TF32_4 = [](unsigned g, unsigned t, unsigned i) { return Place{i == 0 ? g : g + 8, t}; };
const Map A_TF32_8 = [](unsigned g, unsigned t, unsigned i) { return Place{i == 0 || i == 2 ? g : g + 8, i < 2 ? t : t + 4}; };
const Map B_TF32 = [](unsigned g, unsigned t, unsigned i) { return Place{t + 4 * i, g}; };
const Map A_SMALL_BYTE = [](unsigned g, unsigned t, unsigned i) { return Place{g, t * 4 + i}; };
const Map A_SMALL_NIBBLE = [](unsigned g, unsigned t, unsigned i) { return Place{g, t * 8 + i}; };

const Form FORMS[] = {
    {"m8n8k16.row.col.s32.s8.s8.s32", 8, 16, 1, 1, 2, SIGNED8, SIGNED8, 'i', A_SMALL_BYTE, B_BYTE},
    {"m8n8k32.row.col.s32.s4.s4.s32", 8, 32, 1, 1, 2, SIGNED4, SIGNED4, 'i', A_SMALL_NIBBLE, B_NIBBLE},
    {"m16n8k16.row.col.s32.s8.s8.s32", 16, 16, 2, 1, 4, SIGNED8, SIGNED8, 'i', A_BYTE_16, B_BYTE},
    {"m16n8k16.row.col.s32.u8.s8.s32", 16, 16, 2, 1, 4, UNSIGNED8, SIGNED8, 'i', A_BYTE_16, B_BYTE},
    {"m16n8k32.row.col.s32.s8.s8.s32", 16, 32, 4, 2, 4, SIGNED8, SIGNED8, 'i', A_BYTE_32, B_BYTE},
    {"m16n8k32.row.col.satfinite.s32.s8.u8.s32", 16, 32, 4, 2, 4, SIGNED8, UNSIGNED8, 'i', A_BYTE_32, B_BYTE},
    {"m16n8k32.row.col.s32.u8.u8.s32", 16, 32, 4, 2, 4, UNSIGNED8, UNSIGNED8, 'i', A_BYTE_32, B_BYTE},
    {"m16n8k32.row.col.s32.s4.u4.s32", 16, 32, 2, 1, 4, SIGNED4, UNSIGNED4, 'i', A_NIBBLE_32, B_NIBBLE},
    {"m16n8k64.row.col.s32.s4.s4.s32", 16, 64, 4, 2, 4, SIGNED4, SIGNED4, 'i', A_NIBBLE_64, B_NIBBLE},
    {"m16n8k8.row.col.f32.f16.f16.f32", 16, 8, 2, 1, 4, HALF, HALF, 'f', A_HALF_8, B_HALF},
    {"m16n8k16.row.col.f32.f16.f16.f32", 16, 16, 4, 2, 4, HALF, HALF, 'f', A_HALF_16, B_HALF},
    {"m16n8k8.row.col.f16.f16.f16.f16", 16, 8, 2, 1, 2, HALF, HALF, 'h', A_HALF_8, B_HALF},
    {"m16n8k16.row.col.f16.f16.f16.f16", 16, 16, 4, 2, 2, HALF, HALF, 'h', A_HALF_16, B_HALF},
    {"m16n8k8.row.col.f32.bf16.bf16.f32", 16, 8, 2, 1, 4, BRAIN, BRAIN, 'f', A_HALF_8, B_HALF},
    {"m16n8k16.row.col.f32.bf16.bf16.f32", 16, 16, 4, 2, 4, BRAIN, BRAIN, 'f', A_HALF_16, B_HALF},
    {"m16n8k4.row.col.f32.tf32.tf32.f32", 16, 4, 2, 1, 4, TF32, TF32, 'f', A_TF32_4, B_TF32},
    {"m16n8k8.row.col.f32.tf32.tf32.f32", 16, 8, 4, 2, 4, TF32, TF32, 'f', A_TF32_8, B_TF32},
};

/// A kernel in which each lane loads its registers of a, b, c and e, multiplies, and stores d.
std::string multiplyKernel(const std::string& opcode, unsigned a, unsigned b, unsigned sums, const std::string& tail) {
  std::string body = ".reg .b32 %a<4>, %b<4>, %c<4>, %d<4>, %e, %l; .reg .b64 %p<5>, %o;\n mov.u32 %l, %tid.x;\n";
  const char* names[] = {"a", "b", "c", "d", "e"};
  for (int k = 0; k < 5; k++) body += "ld.param.u64 %p" + std::to_string(k) + ", [p" + names[k] + "];\n";
  auto access = [&](int parameter, unsigned count, const std::string& name, bool load) {
    body += "mul.wide.u32 %o, %l, " + std::to_string(count * 4) + "; add.u64 %p" + std::to_string(parameter) + ", %p" + std::to_string(parameter) + ", %o;\n";
    for (unsigned r = 0; r < count; r++) {
      std::string reg = "%" + name + (name == "e" ? "" : std::to_string(r)), at = "[%p" + std::to_string(parameter) + "+" + std::to_string(r * 4) + "]";
      body += load ? "ld.global.b32 " + reg + ", " + at + ";\n" : "st.global.b32 " + at + ", " + reg + ";\n";
    }
  };
  auto list = [](const std::string& name, unsigned count) {
    std::string text = "{";
    for (unsigned r = 0; r < count; r++) text += (r != 0 ? ", %" : "%") + name + std::to_string(r);
    return text + "}";
  };
  access(0, a, "a", true);
  access(1, b, "b", true);
  access(2, sums, "c", true);
  access(4, 1, "e", true);
  body += opcode + " " + list("d", sums) + ", " + list("a", a) + ", " + list("b", b) + ", " + list("c", sums) + tail + ";\n";
  access(3, sums, "d", false);
  return kernel(".param .u64 pa, .param .u64 pb, .param .u64 pc, .param .u64 pd, .param .u64 pe", body);
}

using Matrix = std::vector<std::vector<int>>;

Matrix randomMatrix(unsigned rows, unsigned columns, int least, int most, std::mt19937& random) {
  std::uniform_int_distribution<int> value(least, most);
  Matrix m(rows, std::vector<int>(columns));
  for (auto& row : m) {
    for (int& v : row) v = value(random);
  }
  return m;
}

std::vector<std::uint32_t> fragment(const Matrix& m, const Element& e, unsigned registers, const Map& map) {
  std::vector<std::uint32_t> out(32 * registers);
  unsigned per = 32 / e.bits;
  for (unsigned l = 0; l < 32; l++) {
    for (unsigned i = 0; i < registers * per; i++) {
      Place p = map(l / 4, l % 4, i);
      std::uint32_t bits = e.encode(m[p.row][p.column]) & (e.bits == 32 ? ~0u : (1u << e.bits) - 1);
      out[l * registers + i / per] |= bits << (i % per * e.bits);
    }
  }
  return out;
}

int rangeOf(const Element& e, bool least) {
  int most = e.bits == 4 ? (e.isSigned ? 7 : 15) : e.bits == 8 ? (e.isSigned ? 127 : 255) : 8;
  return least ? (e.isSigned ? (e.bits <= 8 ? -most - 1 : -most) : 0) : most;
}

std::uint32_t sumBits(char kind, int v) { return kind == 'i' ? static_cast<std::uint32_t>(v) : kind == 'f' ? floatBits(v) : halfBits(v); }

/// Packs sums into registers: one each, or two halves.
std::vector<std::uint32_t> sumFragment(const Matrix& m, const Form& f) {
  unsigned values = f.m / 4;
  std::vector<std::uint32_t> out(32 * f.sumRegisters);
  for (unsigned l = 0; l < 32; l++) {
    for (unsigned i = 0; i < values; i++) {
      Place p = accumulator(l / 4, l % 4, i);
      std::uint32_t bits = sumBits(f.sum, m[p.row][p.column]);
      if (f.sum == 'h') out[l * f.sumRegisters + i / 2] |= bits << (i % 2 * 16);
      else out[l * f.sumRegisters + i] = bits;
    }
  }
  return out;
}

Matrix product(const Matrix& a, const Matrix& b, const Matrix& c) {
  Matrix d = c;
  for (std::size_t r = 0; r < a.size(); r++) {
    for (std::size_t n = 0; n < 8; n++) {
      for (std::size_t k = 0; k < b.size(); k++) d[r][n] += a[r][k] * b[k][n];
    }
  }
  return d;
}

void compare(const Form& f, const std::string& opcode, const std::string& tail, const std::vector<std::uint32_t>& a, const std::vector<std::uint32_t>& b, const std::vector<std::uint32_t>& e,
             const Matrix& c, const Matrix& expected, bool sparse) {
  Device device(multiplyKernel(opcode, f.aRegisters, f.bRegisters, f.sumRegisters, tail));
  Address pd = device.memory.allocate(32 * 4 * 4);
  Result r = device.run("k", {1}, {32}, Arguments(device.upload(a), device.upload(b), device.upload(sumFragment(c, f)), pd, device.upload(e)));
  if (!r.ok()) return failed(__FILE__, __LINE__, opcode + ": " + r.message);
  auto got = device.download<std::uint32_t>(pd, 32 * f.sumRegisters);
  auto wanted = sumFragment(expected, f);
  for (std::size_t k = 0; k < got.size(); k++) {
    if (got[k] == wanted[k]) continue;
    char text[160];
    std::snprintf(text, sizeof text, "%s: lane %zu register %zu is %08x, expected %08x", opcode.c_str(), k / f.sumRegisters, k % f.sumRegisters, got[k], wanted[k]);
    return failed(__FILE__, __LINE__, text);
  }
  EQUAL(std::uint64_t{f.m} * 8 * f.k, sparse ? r.counts.sparseMultiplyAdds : r.counts.denseMultiplyAdds);
}

TEST(denseFragments) {
  std::mt19937 random(71);
  for (const Form& f : FORMS) {
    Matrix a = randomMatrix(f.m, f.k, rangeOf(f.a, true), rangeOf(f.a, false), random);
    Matrix b = randomMatrix(f.k, 8, rangeOf(f.b, true), rangeOf(f.b, false), random);
    int most = f.sum == 'i' ? 100000 : 100;
    Matrix c = randomMatrix(f.m, 8, -most, most, random);
    compare(f, std::string("mma.sync.aligned.") + f.name, "", fragment(a, f.a, f.aRegisters, f.mapA), fragment(b, f.b, f.bRegisters, f.mapB), std::vector<std::uint32_t>(32), c, product(a, b, c), false);
  }
}

/// One element of a and one of b: the product must land in their row and column and nowhere else.
TEST(singleElementsLandWhereTheyBelong) {
  for (const Form& f : FORMS) {
    for (unsigned step = 0; step < f.k; step += 3) {
      unsigned row = (step * 5 + 1) % f.m, column = (step * 3 + 2) % 8;
      Matrix a(f.m, std::vector<int>(f.k)), b(f.k, std::vector<int>(8)), c(f.m, std::vector<int>(8));
      a[row][step] = 3;
      b[step][column] = 2;
      Matrix expected = c;
      expected[row][column] = 6;
      compare(f, std::string("mma.sync.aligned.") + f.name, "", fragment(a, f.a, f.aRegisters, f.mapA), fragment(b, f.b, f.bRegisters, f.mapB), std::vector<std::uint32_t>(32), c, expected, false);
    }
  }
}

TEST(integerSumsSaturateOnlyWhenAsked) {
  for (bool saturate : {false, true}) {
    std::string opcode = std::string("mma.sync.aligned.m16n8k16.row.col") + (saturate ? ".satfinite" : "") + ".s32.s8.s8.s32";
    Device device(multiplyKernel(opcode, 2, 1, 4, ""));
    std::vector<std::uint32_t> ones(64, 0x01010101), c(128, 0x7ffffff8);
    Address pd = device.memory.allocate(512);
    Result r = device.run("k", {1}, {32}, Arguments(device.upload(ones), device.upload(ones), device.upload(c), pd, device.upload(ones)));
    CHECK(r.ok());
    EQUAL(saturate ? 0x7fffffffu : 0x80000008u, device.download<std::uint32_t>(pd, 128)[17]);
  }
}

// ---- sparse ----------------------------------------------------------------------------------------------------------

/// Bits of metadata for a group of four columns of a row, by lane and shift, as the manual's figures place them.
struct Nibble {
  unsigned lane, shift;
};

struct SparseForm {
  Form form;  ///< mapA of the kept elements: the dense map of a matrix half as wide
  unsigned selectors;
  std::function<Nibble(unsigned row, unsigned group, unsigned selector)> metadata;
};

Nibble at(unsigned lane, unsigned shift) { return {lane, shift}; }

const SparseForm SPARSE[] = {
    // 16 columns: one lane of four holds row g below and row g + 8 above
    {{"m16n8k16.row.col.f32.f16.f16.f32", 16, 16, 2, 2, 4, HALF, HALF, 'f', A_HALF_8, B_HALF}, 4, [](unsigned row, unsigned group, unsigned s) { return at(row % 8 * 4 + s, (row < 8 ? 0 : 16) + group * 4); }},
    {{"m16n8k16.row.col.f32.bf16.bf16.f32", 16, 16, 2, 2, 4, BRAIN, BRAIN, 'f', A_HALF_8, B_HALF}, 4, [](unsigned row, unsigned group, unsigned s) { return at(row % 8 * 4 + s, (row < 8 ? 0 : 16) + group * 4); }},
    // 32 columns: a pair of lanes, the first for columns 0 to 15
    {{"m16n8k32.row.col.f32.f16.f16.f32", 16, 32, 4, 4, 4, HALF, HALF, 'f', A_HALF_16, B_HALF}, 2,
     [](unsigned row, unsigned group, unsigned s) { return at(row % 8 * 4 + s * 2 + (group < 4 ? 0 : 1), (row < 8 ? 0 : 16) + group % 4 * 4); }},
    {{"m16n8k32.row.col.f16.f16.f16.f16", 16, 32, 4, 4, 2, HALF, HALF, 'h', A_HALF_16, B_HALF}, 2,
     [](unsigned row, unsigned group, unsigned s) { return at(row % 8 * 4 + s * 2 + (group < 4 ? 0 : 1), (row < 8 ? 0 : 16) + group % 4 * 4); }},
    // bytes: a register holds 32 columns of one row; lanes in the order row g, row g + 8
    {{"m16n8k32.row.col.s32.s8.s8.s32", 16, 32, 2, 2, 4, SIGNED8, SIGNED8, 'i', A_BYTE_16, B_BYTE}, 2, [](unsigned row, unsigned group, unsigned s) { return at(row % 8 * 4 + s * 2 + (row < 8 ? 0 : 1), group * 4); }},
    {{"m16n8k64.row.col.s32.s8.s8.s32", 16, 64, 4, 4, 4, SIGNED8, SIGNED8, 'i', A_BYTE_32, B_BYTE}, 1,
     [](unsigned row, unsigned group, unsigned) { return at(row % 8 * 4 + (row < 8 ? 0 : 1) + (group < 8 ? 0 : 2), group % 8 * 4); }},
    {{"m16n8k64.row.col.satfinite.s32.u8.s8.s32", 16, 64, 4, 4, 4, UNSIGNED8, SIGNED8, 'i', A_BYTE_32, B_BYTE}, 1,
     [](unsigned row, unsigned group, unsigned) { return at(row % 8 * 4 + (row < 8 ? 0 : 1) + (group < 8 ? 0 : 2), group % 8 * 4); }},
};

TEST(sparseFragments) {
  std::mt19937 random(72);
  const unsigned PAIRS[6][2] = {{0, 1}, {0, 2}, {0, 3}, {1, 2}, {1, 3}, {2, 3}};
  for (const SparseForm& s : SPARSE) {
    const Form& f = s.form;
    for (unsigned selector = 0; selector < s.selectors; selector++) {
      for (const char* variant : {"sp", "sp::ordered_metadata"}) {
        Matrix kept = randomMatrix(16, f.k / 2, rangeOf(f.a, true), rangeOf(f.a, false), random);
        Matrix b = randomMatrix(f.k, 8, rangeOf(f.b, true), rangeOf(f.b, false), random);
        Matrix c = randomMatrix(16, 8, -50, 50, random);
        Matrix full(16, std::vector<int>(f.k));
        std::vector<std::uint32_t> metadata(32);
        for (unsigned row = 0; row < 16; row++) {
          for (unsigned group = 0; group < f.k / 4; group++) {
            const unsigned* pair = PAIRS[random() % 6];
            full[row][group * 4 + pair[0]] = kept[row][group * 2];
            full[row][group * 4 + pair[1]] = kept[row][group * 2 + 1];
            Nibble n = s.metadata(row, group, selector);
            metadata[n.lane] |= (pair[0] | pair[1] << 2) << n.shift;
          }
        }
        compare(f, std::string("mma.") + variant + ".sync.aligned." + f.name, ", %e, " + std::to_string(selector), fragment(kept, f.a, f.aRegisters, f.mapA), fragment(b, f.b, f.bRegisters, f.mapB), metadata, c,
                product(full, b, c), true);
      }
    }
  }
}

TEST(illegalMetadataIsRefused) {
  struct Bad {
    const char* variant;
    std::uint32_t nibble;
    bool legal;
  };
  for (Bad bad : {Bad{"sp::ordered_metadata", 0x0, false}, Bad{"sp::ordered_metadata", 0x5, false}, Bad{"sp::ordered_metadata", 0xf, false}, Bad{"sp::ordered_metadata", 0x1, false},
                  Bad{"sp", 0x1, true}, Bad{"sp", 0xa, false}, Bad{"sp::ordered_metadata", 0x4, true}}) {
    Device device(multiplyKernel(std::string("mma.") + bad.variant + ".sync.aligned.m16n8k64.row.col.s32.s8.s8.s32", 4, 4, 4, ", %e, 0"));
    std::vector<std::uint32_t> zeros(128), metadata(32, 0x44444444);
    metadata[9] = 0x44444044 | bad.nibble << 8;  // lane 9: row 2 + 8, columns 8 to 11
    Address pd = device.memory.allocate(512);
    Result r = device.run("k", {1}, {32}, Arguments(device.upload(zeros), device.upload(zeros), device.upload(zeros), pd, device.upload(metadata)));
    CHECK(r.ok() == bad.legal);
    if (!bad.legal) {
      CHECK(r.fault == Fault::METADATA);
      CHECK(r.message.find("row 10, columns 8 to 11") != std::string::npos);
    }
  }
}

// ---- ldmatrix ----------------------------------------------------------------------------------------------------------

TEST(ldmatrixHandsOutRows) {
  for (unsigned count : {1u, 2u, 4u}) {
    for (bool transposed : {false, true}) {
      std::string regs = "{";
      for (unsigned k = 0; k < count; k++) regs += (k != 0 ? ", %r" : "%r") + std::to_string(k);
      regs += "}";
      std::string body = ".reg .b32 %r<4>, %l, %s, %v; .reg .b64 %p, %o; .shared .align 16 .b8 tile[512];\n"
                         "mov.u32 %l, %tid.x; mov.u32 %s, tile; shl.b32 %v, %l, 4; add.u32 %s, %s, %v;\n";
      // lane l writes row l: halves 8 l + column
      for (unsigned c = 0; c < 8; c += 2) {
        body += "shl.b32 %v, %l, 3; add.u32 %v, %v, " + std::to_string(c) + "; mad.lo.u32 %v, %v, 65537, 65536; st.shared.b32 [%s+" + std::to_string(c * 2) + "], %v;\n";
      }
      body += "bar.warp.sync -1; ldmatrix.sync.aligned.m8n8.x" + std::to_string(count) + (transposed ? ".trans" : "") + ".shared.b16 " + regs + ", [%s];\n"
              "ld.param.u64 %p, [p]; mul.wide.u32 %o, %l, 16; add.u64 %p, %p, %o;\n";
      for (unsigned k = 0; k < count; k++) body += "st.global.b32 [%p+" + std::to_string(k * 4) + "], %r" + std::to_string(k) + ";\n";
      Device device(kernel(".param .u64 p", body));
      Address p = device.memory.allocate(512);
      Result r = device.run("k", {1}, {32}, Arguments(p));
      CHECK(r.ok());
      EQUAL(std::uint64_t{12}, r.counts.bankConflicts);  // of the four stores, 16 bytes apart; rows of 16 bytes load without
      auto out = device.download<std::uint32_t>(p, 128);
      for (unsigned l = 0; l < 32; l++) {
        for (unsigned k = 0; k < count; k++) {
          for (unsigned x = 0; x < 2; x++) {
            unsigned row = transposed ? l % 4 * 2 + x : l / 4, column = transposed ? l / 4 : l % 4 * 2 + x;
            EQUAL((k * 8 + row) * 8 + column, out[l * 4 + k] >> (16 * x) & 0xffff);
          }
        }
      }
    }
  }
}
}  // namespace
