// SPDX-License-Identifier: Apache-2.0
// Tests are functions registered by name; a failed check prints where and what, and the program ends with their number.
#pragma once

#include <cstdio>
#include <cstring>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include "../../machine.h"

namespace lacuna::emulator::test {

struct Case {
  const char* name;
  void (*run)();
};
std::vector<Case>& cases();
extern int failures;

struct Register {
  Register(const char* name, void (*run)()) { cases().push_back({name, run}); }
};

void failed(const char* file, int line, const std::string& what);

template <class A, class B>
void equal(const A& expected, const B& actual, const char* file, int line, const std::string& what) {
  if (expected == actual) return;
  std::ostringstream text;
  text << what << ": expected " << +expected << ", got " << +actual;
  failed(file, line, text.str());
}

#define TEST(name)                                            \
  static void name();                                         \
  static const ::lacuna::emulator::test::Register register_##name(#name, name); \
  static void name()
#define CHECK(condition) \
  do { if (!(condition)) ::lacuna::emulator::test::failed(__FILE__, __LINE__, #condition); } while (false)
#define EQUAL(expected, actual) ::lacuna::emulator::test::equal(expected, actual, __FILE__, __LINE__, #actual)

/// Kernel parameters in order, each at its natural alignment.
class Arguments {
 public:
  template <class... T>
  explicit Arguments(T... values) {
    (put(values), ...);
  }
  const void* data() const { return bytes_.data(); }

 private:
  template <class T>
  void put(T value) {
    std::size_t at = (bytes_.size() + sizeof(T) - 1) / sizeof(T) * sizeof(T);
    bytes_.resize(at + sizeof(T));
    std::memcpy(bytes_.data() + at, &value, sizeof(T));
  }
  std::vector<std::byte> bytes_;
};

/// A device with one module.
class Device {
 public:
  explicit Device(const std::string& ptx) : module(memory, ptx) {}

  template <class T>
  Address upload(const std::vector<T>& values) {
    Address a = memory.allocate(values.size() * sizeof(T));
    memory.copyIn(a, values.data(), values.size() * sizeof(T));
    return a;
  }
  template <class T>
  std::vector<T> download(Address a, std::size_t count) {
    std::vector<T> values(count);
    std::string wrong = memory.copyOut(values.data(), a, count * sizeof(T));
    if (!wrong.empty()) failed(__FILE__, __LINE__, wrong);
    return values;
  }
  Result run(const char* kernel, Dim3 grid, Dim3 block, const Arguments& arguments, std::size_t dynamicShared = 0, Options options = {}) {
    const Function* f = module.function(kernel);
    if (f == nullptr) {
      failed(__FILE__, __LINE__, std::string("no kernel ") + kernel);
      return {};
    }
    return launch(memory, *f, grid, block, dynamicShared, arguments.data(), options);
  }

  Memory memory{std::size_t{1} << 30};
  Module module;
};

/// A module with one kernel "k" that has the given parameters and body.
std::string kernel(const std::string& parameters, const std::string& body);

/// Runs a body that computes %out (32 bits) for each of 32 lanes from %a, %b, %c, loaded from arrays; %tid.x in %lane.
/// Registers: .pred %p<8>, .b16 %h<16>, .b32 %r<32>, .b64 %d<16>, .f32 %f<8>.
std::vector<std::uint32_t> compute(const std::string& body, const std::vector<std::uint32_t>& a, const std::vector<std::uint32_t>& b = {}, const std::vector<std::uint32_t>& c = {});
/// The same on one lane's values.
std::uint32_t one(const std::string& body, std::uint32_t a, std::uint32_t b = 0, std::uint32_t c = 0);
/// On 64-bit values.
std::uint64_t one64(const std::string& body, std::uint64_t a, std::uint64_t b = 0, std::uint64_t c = 0);

}  // namespace lacuna::emulator::test
