// SPDX-License-Identifier: Apache-2.0
// Runs the PTX that make.py had Triton compile, as a program would on a device, and compares with results computed here in double.
// Inputs of the exact cases are small multiples of powers of two: sums are the same in any order, and every bit is compared.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

extern "C" {
int cuInit(unsigned);
int cuDeviceGet(int*, int);
int cuDevicePrimaryCtxRetain(void**, int);
int cuDevicePrimaryCtxReset_v2(int);
int cuCtxSetCurrent(void*);
int cuMemAlloc_v2(std::uint64_t*, std::size_t);
int cuMemFree_v2(std::uint64_t);
int cuMemcpyHtoD_v2(std::uint64_t, const void*, std::size_t);
int cuMemcpyDtoH_v2(void*, std::uint64_t, std::size_t);
int cuModuleLoadData(void**, const void*);
int cuModuleGetFunction(void**, void*, const char*);
int cuModuleUnload(void*);
int cuFuncSetAttribute(void*, int, int);
int cuLaunchKernel(void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void*, void**, void**);
int cuCtxSynchronize();
long lacunaEmulatorLastError(char*, std::size_t);
}

namespace {

void check(int result, const char* call) {
  if (result == 0) return;
  char text[4096];
  lacunaEmulatorLastError(text, sizeof text);
  throw std::runtime_error(std::string(call) + " answers " + std::to_string(result) + ": " + text);
}
#define CHECK(call) check(call, #call)

// ---- half and bfloat, rounded to nearest even

std::uint16_t toHalf(double value) {
  const std::uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  double a = std::fabs(value);
  if (std::isnan(value)) return 0x7fff;
  if (a >= 65520) return static_cast<std::uint16_t>(sign | 0x7c00);
  int exponent;
  std::frexp(a, &exponent);
  exponent = std::max(exponent, -13);  // of subnormals
  const double unit = std::ldexp(1.0, exponent - 11);
  const double scaled = std::nearbyint(a / unit);  // of 11 bits, exactly
  const auto bits = static_cast<std::uint16_t>(scaled);
  return static_cast<std::uint16_t>(sign | (bits + ((exponent + 13) << 10)));
}

double fromHalf(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  double value;
  if (exponent == 31) {
    value = fraction != 0 ? NAN : INFINITY;
  } else if (exponent == 0) {
    value = std::ldexp(fraction, -24);
  } else {
    value = std::ldexp(1024 + fraction, exponent - 25);
  }
  return (bits & 0x8000) != 0 ? -value : value;
}

std::uint16_t toBfloat(double value) {
  int exponent;
  std::frexp(value, &exponent);
  const double unit = std::ldexp(1.0, exponent - 8);
  const auto rounded = static_cast<float>(std::nearbyint(value / unit) * unit);  // of 8 bits, exactly
  return static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(rounded) >> 16);
}

double fromBfloat(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

// ---- inputs

/// Numbers that are the same everywhere (SplitMix64).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t bits() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  int integer(int from, int to) { return from + static_cast<int>(bits() % static_cast<std::uint64_t>(to - from + 1)); }
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53 * 2 - 1; }

 private:
  std::uint64_t state_;
};

template <typename T>
std::vector<T> fill(std::size_t n, const std::function<T()>& next) {
  std::vector<T> values(n);
  for (T& v : values) v = next();
  return values;
}

// ---- the device

/// Device memory with host data behind it.
template <typename T>
class Buffer {
 public:
  explicit Buffer(const std::vector<T>& data) : n_(data.size()) {
    CHECK(cuMemAlloc_v2(&address, n_ * sizeof(T)));
    CHECK(cuMemcpyHtoD_v2(address, data.data(), n_ * sizeof(T)));
  }
  ~Buffer() { cuMemFree_v2(address); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  std::vector<T> read() const {
    std::vector<T> data(n_);
    CHECK(cuMemcpyDtoH_v2(data.data(), address, n_ * sizeof(T)));
    return data;
  }
  std::uint64_t address = 0;

 private:
  std::size_t n_;
};

/// What is done to the text of each file before it is loaded, by the tests that break it.
std::function<std::string(const std::string&)> edit;

/// One file: its kernel, and the launch that its head describes.
class Fixture {
 public:
  explicit Fixture(const std::string& name) {
    std::ifstream file(std::string(FIXTURES) + "/" + name + ".ptx");
    if (!file) throw std::runtime_error("no file " + name + ".ptx");
    std::stringstream text;
    text << file.rdbuf();
    const std::string ptx = edit ? edit(text.str()) : text.str();
    char kernel[128];
    const std::size_t head = ptx.find("// kernel ");
    if (head == std::string::npos || std::sscanf(ptx.c_str() + head, "// kernel %127s threads %u shared %u", kernel, &threads_, &shared_) != 3) {
      throw std::runtime_error(name + ".ptx has no head");
    }
    CHECK(cuModuleLoadData(&module_, ptx.c_str()));
    CHECK(cuModuleGetFunction(&function_, module_, kernel));
    if (shared_ > 48 << 10) CHECK(cuFuncSetAttribute(function_, 8, static_cast<int>(shared_)));
  }
  ~Fixture() { cuModuleUnload(module_); }
  Fixture(const Fixture&) = delete;
  Fixture& operator=(const Fixture&) = delete;

  /// Launches with the arguments and Triton's two scratch pointers, null.
  template <typename... T>
  void run(unsigned gridX, unsigned gridY, T... arguments) {
    std::uint64_t scratch = 0;
    void* pointers[] = {&arguments..., &scratch, &scratch};
    CHECK(cuLaunchKernel(function_, gridX, gridY, 1, threads_, 1, 1, shared_, nullptr, pointers, nullptr));
    CHECK(cuCtxSynchronize());
  }

 private:
  void* module_ = nullptr;
  void* function_ = nullptr;
  unsigned threads_ = 0, shared_ = 0;
};

void same(double want, double got, const std::string& where) {
  if (want == got || (std::isnan(want) && std::isnan(got))) return;
  throw std::runtime_error(where + ": " + std::to_string(got) + ", expected " + std::to_string(want));
}

void near(double want, double got, double relative, double absolute, const std::string& where) {
  if (std::fabs(got - want) <= relative * std::fabs(want) + absolute) return;
  throw std::runtime_error(where + ": " + std::to_string(got) + ", expected " + std::to_string(want));
}

std::string at(const char* what, std::size_t row, std::size_t column) {
  return std::string(what) + "[" + std::to_string(row) + "][" + std::to_string(column) + "]";
}

// ---- products

/// One element type of a product: how test values are stored and read.
template <typename T>
struct Format {
  std::function<double(Random&)> next;
  std::function<T(double)> to;
  std::function<double(T)> from;
};

const auto eighths = [](Random& r) { return r.integer(-8, 8) / 8.0; };
const Format<std::int8_t> BYTES{[](Random& r) { return static_cast<double>(r.integer(-128, 127)); },
                                [](double v) { return static_cast<std::int8_t>(v); }, [](std::int8_t v) { return static_cast<double>(v); }};
const Format<std::int32_t> INTS{nullptr, nullptr, [](std::int32_t v) { return static_cast<double>(v); }};
const Format<std::uint16_t> HALVES{eighths, toHalf, fromHalf};
const Format<std::uint16_t> SMALL_HALVES{[](Random& r) { return static_cast<double>(r.integer(-2, 2)); }, toHalf, fromHalf};
const Format<std::uint16_t> BFLOATS{eighths, toBfloat, fromBfloat};
const Format<float> FLOATS{eighths, [](double v) { return static_cast<float>(v); }, [](float v) { return static_cast<double>(v); }};

/// c = a b, b along k where it is transposed. Rows are wider than what counts; what lies between is poison.
template <typename T, typename R>
void product(const std::string& name, const Format<T>& in, const Format<R>& out, bool transposed, unsigned tileM, unsigned tileN, int m, int n,
             int k, R poison) {
  Random random(static_cast<std::uint64_t>(m * 1000003 + n * 1009 + k));
  const int strideA = (k + 15) / 16 * 16 + 16, strideC = (n + 15) / 16 * 16 + 16;
  const int strideB = ((transposed ? k : n) + 15) / 16 * 16 + 16, rowsB = transposed ? n : k;
  const T bad = in.to(1);
  std::vector<T> a(static_cast<std::size_t>(m * strideA), bad), b(static_cast<std::size_t>(rowsB * strideB), bad);
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < k; ++j) a[static_cast<std::size_t>(i * strideA + j)] = in.to(in.next(random));
  }
  for (int i = 0; i < rowsB; ++i) {
    for (int j = 0; j < (transposed ? k : n); ++j) b[static_cast<std::size_t>(i * strideB + j)] = in.to(in.next(random));
  }
  Buffer<T> deviceA(a), deviceB(b);
  Buffer<R> deviceC(std::vector<R>(static_cast<std::size_t>(m * strideC), poison));
  Fixture(name).run((static_cast<unsigned>(m) + tileM - 1) / tileM, (static_cast<unsigned>(n) + tileN - 1) / tileN, deviceA.address,
                    deviceB.address, deviceC.address, m, n, k, strideA, strideB, strideC);
  const std::vector<R> c = deviceC.read();
  for (int i = 0; i < m; ++i) {
    for (int j = 0; j < strideC; ++j) {
      const std::string where = at(name.c_str(), static_cast<std::size_t>(i), static_cast<std::size_t>(j));
      double want = 0;
      if (j < n) {
        for (int l = 0; l < k; ++l) {
          want += in.from(a[static_cast<std::size_t>(i * strideA + l)]) *
                  in.from(b[static_cast<std::size_t>(transposed ? j * strideB + l : l * strideB + j)]);
        }
      } else {
        want = out.from(poison);
      }
      same(want, out.from(c[static_cast<std::size_t>(i * strideC + j)]), where);
    }
  }
}

// ---- rows

void softmax(const std::string& name) {
  const int rows = 3, columns = 777, stride = 784;
  Random random(1);
  auto x = fill<float>(static_cast<std::size_t>(rows * stride), [&] { return static_cast<float>(random.uniform() * 8); });
  Buffer<float> in(x), out(std::vector<float>(x.size(), -1));
  Fixture(name).run(rows, 1, in.address, out.address, columns, stride);
  const auto y = out.read();
  for (int r = 0; r < rows; ++r) {
    const float* row = x.data() + r * stride;
    double top = -INFINITY, sum = 0;
    for (int i = 0; i < columns; ++i) top = std::max<double>(top, row[i]);
    for (int i = 0; i < columns; ++i) sum += std::exp(row[i] - top);
    for (int i = 0; i < columns; ++i) {
      near(std::exp(row[i] - top) / sum, y[static_cast<std::size_t>(r * stride + i)], 2e-6, 0, at("softmax", static_cast<std::size_t>(r), static_cast<std::size_t>(i)));
    }
    same(-1, y[static_cast<std::size_t>(r * stride + columns)], "behind the row");
  }
}

template <typename T, typename W>
void layerNorm(const std::string& name, const Format<T>& format, const Format<W>& weights, int columns, double tolerance) {
  const int rows = 3;
  const float epsilon = 1e-5f;
  Random random(2);
  auto x = fill<T>(static_cast<std::size_t>(rows * columns), [&] { return format.to(random.uniform() * 3 + 1); });
  auto w = fill<W>(static_cast<std::size_t>(columns), [&] { return weights.to(1 + random.uniform()); });
  auto b = fill<W>(static_cast<std::size_t>(columns), [&] { return weights.to(random.uniform()); });
  Buffer<T> in(x), out(std::vector<T>(x.size(), T{}));
  Buffer<W> scale(w), shift(b);
  Fixture(name).run(rows, 1, in.address, scale.address, shift.address, out.address, columns, epsilon);
  const auto y = out.read();
  for (int r = 0; r < rows; ++r) {
    auto value = [&](int i) { return format.from(x[static_cast<std::size_t>(r * columns + i)]); };
    double mean = 0, variance = 0;
    for (int i = 0; i < columns; ++i) mean += value(i) / columns;
    for (int i = 0; i < columns; ++i) variance += (value(i) - mean) * (value(i) - mean) / columns;
    for (int i = 0; i < columns; ++i) {
      const auto c = static_cast<std::size_t>(i);
      const double want = (value(i) - mean) / std::sqrt(variance + epsilon) * weights.from(w[c]) + weights.from(b[c]);
      near(want, format.from(y[static_cast<std::size_t>(r * columns) + c]), tolerance, 1e-4, at(name.c_str(), static_cast<std::size_t>(r), c));
    }
  }
}

void rmsQuantize(const std::string& name) {
  const int rows = 2, columns = 960;
  const float epsilon = 1e-6f;
  Random random(3);
  auto x = fill<float>(rows * columns, [&] { return static_cast<float>(random.uniform()); });
  Buffer<float> in(x), scales(std::vector<float>(rows, 0));
  Buffer<std::int8_t> out(std::vector<std::int8_t>(rows * columns, 99));
  Fixture(name).run(rows, 1, in.address, out.address, scales.address, columns, epsilon);
  const auto y = out.read();
  const auto s = scales.read();
  for (std::size_t r = 0; r < rows; ++r) {
    const float* row = x.data() + r * columns;
    double square = 0, most = 0;
    for (int i = 0; i < columns; ++i) square += double{row[i]} * row[i] / columns;
    const double norm = 1 / std::sqrt(square + epsilon);
    for (int i = 0; i < columns; ++i) most = std::max(most, std::fabs(row[i] * norm));
    near(most / 127, s[r], 1e-6, 0, "scale");
    for (std::size_t i = 0; i < columns; ++i) near(row[i] * norm / (most / 127), y[r * columns + i], 0, 0.501, at("quantized", r, i));
  }
}

void reduce(const std::string& name) {
  const int rows = 4, columns = 1999;
  Random random(4);
  // multiples of 1/16, of which there are few: the greatest is there more than once, and the first of them counts
  auto x = fill<float>(rows * columns, [&] { return static_cast<float>(random.integer(-200, 200) / 16.0); });
  Buffer<float> in(x), sums(std::vector<float>(rows, 0)), most(std::vector<float>(rows, 0)), least(std::vector<float>(rows, 0));
  Buffer<std::int32_t> where(std::vector<std::int32_t>(rows, -1));
  Fixture(name).run(rows, 1, in.address, sums.address, most.address, least.address, where.address, columns);
  const auto a = sums.read(), b = most.read(), c = least.read();
  const auto d = where.read();
  for (std::size_t r = 0; r < rows; ++r) {
    const float* row = x.data() + r * columns;
    double sum = 0;
    int best = 0, worst = 0;
    for (int i = 0; i < columns; ++i) {
      sum += row[i];
      if (row[i] > row[best]) best = i;
      if (row[i] < row[worst]) worst = i;
    }
    same(sum, a[r], at("sum", r, 0));
    same(row[best], b[r], at("greatest", r, 0));
    same(row[worst], c[r], at("least", r, 0));
    same(best, d[r], at("where", r, 0));
  }
}

void reduceIntegers(const std::string& name) {
  const int rows = 3, columns = 500;
  Random random(9);
  auto x = fill<std::int32_t>(rows * columns, [&] { return static_cast<std::int32_t>(random.bits()); });
  const std::vector<std::int32_t> zero(rows, 0);
  Buffer<std::int32_t> in(x), sums(zero), least(zero), most(zero), xors(zero);
  Fixture(name).run(rows, 1, in.address, sums.address, least.address, most.address, xors.address, columns);
  const auto a = sums.read(), b = least.read(), c = most.read(), d = xors.read();
  for (std::size_t r = 0; r < rows; ++r) {
    std::uint32_t sum = 0, bits = 0;
    std::int32_t low = 0, high = 0;  // what lies behind the row counts as 0
    for (std::size_t i = 0; i < columns; ++i) {
      const std::int32_t v = x[r * columns + i];
      sum += static_cast<std::uint32_t>(v);
      bits ^= static_cast<std::uint32_t>(v);
      low = std::min(low, v);
      high = std::max(high, v);
    }
    same(static_cast<std::int32_t>(sum), a[r], at("sum", r, 0));
    same(low, b[r], at("least", r, 0));
    same(high, c[r], at("greatest", r, 0));
    same(static_cast<std::int32_t>(bits), d[r], at("xor", r, 0));
  }
}

void dequantized(const std::string& name) {
  const int m = 40, n = 70, k = 208, strideX = 208, strideW = 224, strideY = 80;
  Random random(10);
  auto x = fill<std::uint16_t>(m * strideX, [&] { return toHalf(eighths(random)); });
  auto w = fill<std::int8_t>(n * strideW, [&] { return static_cast<std::int8_t>(random.integer(-128, 127)); });
  auto scales = fill<float>(n, [&] { return static_cast<float>(random.uniform() + 2); });
  Buffer<std::uint16_t> deviceX(x);
  Buffer<std::int8_t> deviceW(w);
  Buffer<float> deviceScales(scales), out(std::vector<float>(m * strideY, -7));
  Fixture(name).run((m + 31) / 32, (n + 63) / 64, deviceX.address, deviceW.address, deviceScales.address, out.address, m, n, k, strideX, strideW,
                    strideY);
  const auto y = out.read();
  for (std::size_t i = 0; i < m; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      double sum = 0;
      for (std::size_t l = 0; l < k; ++l) sum += fromHalf(x[i * strideX + l]) * w[j * strideW + l];
      same(static_cast<float>(sum) * scales[j], y[i * strideY + j], at("product", i, j));
    }
  }
}

void functions(const std::string& name) {
  const int n = 1008;
  Random random(11);
  // from 1e-3 to 1e6, where a sine needs more bits of pi than a float has
  auto x = fill<float>(n, [&] { return static_cast<float>(std::pow(10, random.uniform() * 4.5 + 1.5)); });
  Buffer<float> in(x), out(std::vector<float>(n * 10, 0));
  Fixture(name).run((n + 255) / 256, 1, in.address, out.address, n);
  const auto y = out.read();
  for (std::size_t i = 0; i < n; ++i) {
    const double v = x[i];
    auto got = [&](std::size_t row) { return static_cast<double>(y[row * n + i]); };
    same(static_cast<float>(std::sqrt(v)), got(0), at("sqrt", 0, i));
    same(static_cast<float>(1 / v), got(1), at("1/x", 0, i));
    near(1 / std::sqrt(v), got(2), 0x1p-22, 0, at("rsqrt", 0, i));
    if (v > 89) {
      same(INFINITY, got(3), at("exp", 0, i));
    } else {
      near(std::exp(v), got(3), 1e-6 + v * 0x1p-23, 0, at("exp", 0, i));
    }
    near(std::log(v), got(4), 3e-7, 1e-7, at("log", 0, i));
    near(std::sin(v), got(5), 3e-7, 1e-9, at("sin", 0, i));
    near(std::cos(v), got(6), 3e-7, 1e-9, at("cos", 0, i));
    same(std::fma(x[i], x[i], -1.f), got(7), at("fma", 0, i));
    same(std::floor(v) + std::ceil(-v), got(8), at("floor", 0, i));
    same(static_cast<float>(static_cast<std::int32_t>(x[i] * 1000)), got(9), at("integer", 0, i));
  }
}

/// Multiply-adds of halves or bfloats with one rounding, and a maximum of a rounded difference.
void halves(const std::string& name, const Format<std::uint16_t>& format) {
  const int n = 1008;
  Random random(12);
  auto next = [&] { return format.to(random.uniform() * 4); };
  auto a = fill<std::uint16_t>(n, next), b = fill<std::uint16_t>(n, next), c = fill<std::uint16_t>(n, next);
  Buffer<std::uint16_t> x(a), y(b), z(c), out(std::vector<std::uint16_t>(2 * n, 0));
  Fixture(name).run((n + 511) / 512, 1, x.address, y.address, z.address, out.address, n);
  const auto got = out.read();
  for (std::size_t i = 0; i < n; ++i) {
    const double u = format.from(a[i]), v = format.from(b[i]), w = format.from(c[i]);
    same(format.from(format.to(u * v + w)), format.from(got[i]), at("fma", 0, i));
    same(std::max(format.from(format.to(u - v)), w), format.from(got[n + i]), at("max", 0, i));
  }
}

void wide(const std::string& name) {
  const int n = 500;
  Random random(13);
  auto a = fill<std::int32_t>(n, [&] { return static_cast<std::int32_t>(random.bits()); });
  auto b = fill<std::int32_t>(n, [&] { return static_cast<std::int32_t>(random.bits()) >> random.integer(0, 20) | 1; });
  Buffer<std::int32_t> x(a), y(b);
  Buffer<std::int64_t> out(std::vector<std::int64_t>(6 * n, 0));
  Fixture(name).run((n + 127) / 128, 1, x.address, y.address, out.address, n);
  const auto got = out.read();
  for (std::size_t i = 0; i < n; ++i) {
    const std::int64_t u = a[i], v = b[i];
    const std::int64_t want[] = {u * v + u * (1 << 20), u / v, u % v,
                                 static_cast<std::int64_t>(static_cast<std::uint64_t>(static_cast<std::uint32_t>(a[i])) * static_cast<std::uint32_t>(b[i]) >> 32),
                                 ((a[i] ^ b[i]) >> 3) & (a[i] | ~b[i]), u * 1000003 / v};
    for (std::size_t k = 0; k < 6; ++k) {
      // the high half of a product is a signed 32-bit number once it is widened
      const std::int64_t value = k == 3 ? static_cast<std::uint32_t>(got[k * n + i]) : got[k * n + i];
      if (value != want[k]) throw std::runtime_error(at("row", k, i) + ": " + std::to_string(value) + ", expected " + std::to_string(want[k]));
    }
  }
}

void sort(const std::string& name) {
  const std::size_t n = 512;
  Random random(14);
  auto x = fill<std::int32_t>(n, [&] { return random.integer(-300, 300); });
  Buffer<std::int32_t> in(x), out(std::vector<std::int32_t>(n, 0));
  Fixture(name).run(1, 1, in.address, out.address);
  std::sort(x.begin(), x.end());
  const auto y = out.read();
  for (std::size_t i = 0; i < n; ++i) same(x[i], y[i], at("sorted", 0, i));
}

void scan(const std::string& name) {
  const int columns = 1000;
  Random random(5);
  auto x = fill<std::int32_t>(columns, [&] { return random.integer(-1000000, 1000000); });
  Buffer<std::int32_t> in(x), out(std::vector<std::int32_t>(columns, 0));
  Fixture(name).run(1, 1, in.address, out.address, columns);
  const auto y = out.read();
  std::int32_t sum = 0;
  for (std::size_t i = 0; i < columns; ++i) same(sum += x[i], y[i], at("scan", 0, i));
}

void count(const std::string& name) {
  const int n = 5000;
  Random random(6);
  auto x = fill<std::int32_t>(n, [&] { return random.integer(0, 36); });
  Buffer<std::int32_t> in(x), out(std::vector<std::int32_t>(37, 7));
  Fixture(name).run((n + 255) / 256, 1, in.address, out.address, n);
  std::vector<int> want(37, 7);
  for (std::int32_t v : x) ++want[static_cast<std::size_t>(v)];
  const auto y = out.read();
  for (std::size_t i = 0; i < want.size(); ++i) same(want[i], y[i], at("bins", 0, i));
}

void gelu(const std::string& name) {
  const int n = 1500;
  Random random(7);
  auto x = fill<std::uint16_t>(n, [&] { return toHalf(random.uniform() * 5); });
  Buffer<std::uint16_t> in(x), out(std::vector<std::uint16_t>(n, 0));
  Fixture(name).run((n + 511) / 512, 1, in.address, out.address, n);
  const auto y = out.read();
  for (std::size_t i = 0; i < n; ++i) {
    const double v = fromHalf(x[i]);
    near(0.5 * v * (1 + std::erf(v / std::sqrt(2.0))), fromHalf(y[i]), 0x1p-11 + 1e-5, 2e-6, at("gelu", 0, i));
  }
}

void attend(const std::string& name) {
  const int length = 150, width = 64;
  const float scale = 0.125f;
  Random random(8);
  auto next = [&] { return toHalf(random.uniform()); };
  const auto q = fill<std::uint16_t>(length * width, next), k = fill<std::uint16_t>(length * width, next), v = fill<std::uint16_t>(length * width, next);
  Buffer<std::uint16_t> deviceQ(q), deviceK(k), deviceV(v);
  Buffer<float> out(std::vector<float>(length * width, 0));
  Fixture(name).run((length + 63) / 64, 1, deviceQ.address, deviceK.address, deviceV.address, out.address, length, scale);
  const auto o = out.read();
  for (std::size_t i = 0; i < length; ++i) {
    std::vector<double> weights(i + 1);
    double sum = 0;
    for (std::size_t j = 0; j <= i; ++j) {
      double dot = 0;
      for (std::size_t d = 0; d < width; ++d) dot += fromHalf(q[i * width + d]) * fromHalf(k[j * width + d]);
      sum += weights[j] = std::exp(dot * scale);
    }
    for (std::size_t d = 0; d < width; ++d) {
      double want = 0;
      for (std::size_t j = 0; j <= i; ++j) want += weights[j] / sum * fromHalf(v[j * width + d]);
      near(want, o[i * width + d], 0, 5e-4, at("attention", i, d));  // the weights are rounded to half
    }
  }
}

// ---- the same kernels broken: what no longer holds is found out

/// The text with every occurrence replaced, or with the one of that number; an error when there is none.
std::string replaced(std::string text, const std::string& from, const std::string& to, int only) {
  int found = 0;
  for (std::size_t i = text.find(from); i != std::string::npos; i = text.find(from, i + to.size())) {
    ++found;
    if (only != 0 && only != found) continue;
    text.replace(i, from.size(), to);
    if (only != 0) return text;
  }
  if (found == 0 || only > found) throw std::logic_error("nothing to break: no " + from);
  return text;
}

struct Break {
  std::string name, from, to, words;
  std::function<void()> run;
  int only = 0;
};

/// Fails unless the run of the broken kernel fails, and says so in these words.
void broken(const Break& b) {
  edit = [&](const std::string& text) { return replaced(text, b.from, b.to, b.only); };
  std::string said;
  try {
    b.run();
  } catch (const std::runtime_error& e) {
    said = e.what();
  } catch (...) {
    edit = nullptr;
    throw;
  }
  edit = nullptr;
  cuDevicePrimaryCtxReset_v2(0);
  if (said.find(b.words) == std::string::npos) {
    throw std::runtime_error("'" + b.to + "' in place of '" + b.from + "' gives '" + said + "', which has nothing of '" + b.words + "'");
  }
}

void halfProduct() { product<std::uint16_t, std::uint16_t>("matmul_f16.sm80", HALVES, HALVES, false, 64, 64, 100, 77, 112, 0x1234); }

int failures = 0, runs = 0;

void test(const std::string& name, const std::function<void(const std::string&)>& body) {
  ++runs;
  try {
    body(name);
    std::printf("ok   %s\n", name.c_str());
  } catch (const std::exception& e) {
    ++failures;
    std::printf("FAIL %s: %s\n", name.c_str(), e.what());
    cuDevicePrimaryCtxReset_v2(0);  // a failed launch has ended what the context could do
  }
}

}  // namespace

int main(int argc, char** argv) {
  setenv("LACUNA_EMULATOR_SM", "8.9", 0);
  CHECK(cuInit(0));
  void* context;
  CHECK(cuDevicePrimaryCtxRetain(&context, 0));
  CHECK(cuCtxSetCurrent(context));
  const std::string only = argc > 1 ? argv[1] : "";
  auto run = [&](const std::string& name, const std::function<void(const std::string&)>& body) {
    if (name.find(only) != std::string::npos) test(name, body);
  };
  for (const char* arch : {".sm80", ".sm86", ".sm89"}) {
    const std::string sm = arch;
    run("matmul_i8" + sm, [](const std::string& f) { product<std::int8_t, std::int32_t>(f, BYTES, INTS, true, 64, 64, 70, 100, 176, 77); });
    run("matmul_i8_narrow" + sm, [](const std::string& f) { product<std::int8_t, std::int32_t>(f, BYTES, INTS, true, 16, 32, 5, 70, 704, 77); });
    run("matmul_f16" + sm, [](const std::string& f) { product<std::uint16_t, std::uint16_t>(f, HALVES, HALVES, false, 64, 64, 100, 77, 112, 0x1234); });
    run("matmul_f16_nt" + sm, [](const std::string& f) { product<std::uint16_t, float>(f, HALVES, FLOATS, true, 128, 64, 130, 65, 208, -77.f); });
    run("matmul_f16_sum16" + sm,
        [](const std::string& f) { product<std::uint16_t, std::uint16_t>(f, SMALL_HALVES, HALVES, false, 32, 32, 33, 40, 96, 0x1234); });
    run("matmul_bf16" + sm, [](const std::string& f) { product<std::uint16_t, float>(f, BFLOATS, FLOATS, false, 64, 64, 70, 90, 240, -77.f); });
    run("matmul_tf32" + sm, [](const std::string& f) { product<float, float>(f, FLOATS, FLOATS, false, 32, 64, 50, 70, 80, -77.f); });
  }
  run("softmax.sm80", softmax);
  run("layer_norm.sm80", [](const std::string& f) { layerNorm<std::uint16_t, std::uint16_t>(f, HALVES, HALVES, 333, 0x1p-11 + 1e-5); });
  for (const char* name : {"layer_norm_bf16.sm80", "layer_norm_bf16.sm89"}) {
    run(name, [](const std::string& f) { layerNorm<std::uint16_t, float>(f, BFLOATS, FLOATS, 400, 0x1p-8 + 1e-5); });
  }
  run("rms_quantize.sm80", rmsQuantize);
  run("reduce.sm80", reduce);
  run("reduce_integers.sm80", reduceIntegers);
  run("dequantized.sm80", dequantized);
  run("dequantized.sm89", dequantized);
  run("functions.sm80", functions);
  run("halves.sm80", [](const std::string& f) { halves(f, HALVES); });
  run("bfloats.sm80", [](const std::string& f) { halves(f, BFLOATS); });
  run("wide.sm80", wide);
  run("sort.sm80", sort);
  run("scan.sm80", scan);
  run("count.sm80", count);
  run("gelu.sm80", gelu);
  run("attend.sm80", attend);
  run("attend.sm89", attend);
  const std::vector<Break> breaks = {
      {"copies are not waited for", "cp.async.wait_group", "//", "which a cp.async is still writing", halfProduct},
      {"no barriers", "bar.sync", "//", "which nobody wrote", halfProduct},
      {"one barrier less", "bar.sync", "//", "race", [] { softmax("softmax.sm80"); }, 2},
      {"not transposed", ".x4.trans", ".x4", "expected", halfProduct},
      {"an odd address", "{ %r1 }, [ %rd1 + 0 ]", "{ %r1 }, [ %rd1 + 2 ]", "not aligned to 4 bytes", [] { scan("scan.sm80"); }},
      {"no masks", "setp.lt.s32", "setp.ne.s32", "past the end of the allocation", [] { gelu("gelu.sm80"); }},
      {"partial sums never written", "st.shared", "//", "which nobody wrote", [] { softmax("softmax.sm80"); }},
      {"a barrier for some", "bar.sync", "@%p8 bar.sync", "of the warp skip", [] { softmax("softmax.sm80"); }},
  };
  for (const Break& b : breaks) run("broken: " + b.name, [&](const std::string&) { broken(b); });
  std::printf("%d run, %d failed\n", runs, failures);
  return failures == 0 && runs > 0 ? 0 : 1;
}
