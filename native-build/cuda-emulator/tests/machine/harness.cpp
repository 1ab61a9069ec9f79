// SPDX-License-Identifier: Apache-2.0
#include "harness.h"

namespace lacuna::emulator::test {

int failures = 0;

std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}

void failed(const char* file, int line, const std::string& what) {
  std::printf("%s:%d: %s\n", file, line, what.c_str());
  failures++;
}

std::string kernel(const std::string& parameters, const std::string& body) {
  return ".version 8.5\n.target sm_80\n.address_size 64\n.visible .entry k(" + parameters + ") {\n" + body + "\nret;\n}\n";
}

namespace {
template <class T>
std::vector<T> computeAs(const char* type, const std::string& body, std::vector<T> a, std::vector<T> b, std::vector<T> c) {
  std::size_t n = a.size();
  b.resize(n);
  c.resize(n);
  std::string bits = type, bytes = std::to_string(sizeof(T));
  std::string text =
      ".reg .pred %p<8>; .reg .b16 %h<16>; .reg .b32 %r<32>; .reg .b64 %d<16>; .reg .f32 %f<8>; .reg .f64 %g<8>; .reg .b" + bits +
      " %a, %b, %c, %out; .reg .b32 %lane; .reg .b64 %pa, %pb, %pc, %po, %at;\n"
      "ld.param.u64 %pa, [a]; ld.param.u64 %pb, [b]; ld.param.u64 %pc, [c]; ld.param.u64 %po, [o];\n"
      "mov.u32 %lane, %tid.x; mul.wide.u32 %at, %lane, " + bytes + ";\n"
      "add.u64 %pa, %pa, %at; add.u64 %pb, %pb, %at; add.u64 %pc, %pc, %at; add.u64 %po, %po, %at;\n"
      "ld.global.b" + bits + " %a, [%pa]; ld.global.b" + bits + " %b, [%pb]; ld.global.b" + bits + " %c, [%pc]; mov.b" + bits + " %out, 0;\n" +
      body + "\nst.global.b" + bits + " [%po], %out;";
  try {
    Device device(kernel(".param .u64 a, .param .u64 b, .param .u64 c, .param .u64 o", text));
    Address pa = device.upload(a), pb = device.upload(b), pc = device.upload(c), po = device.memory.allocate(n * sizeof(T));
    Result r = device.run("k", {1}, {static_cast<unsigned>(n)}, Arguments(pa, pb, pc, po));
    if (!r.ok()) failed("compute", 0, body + ": " + r.message);
    return device.download<T>(po, n);
  } catch (const PtxError& e) {
    failed("compute", 0, body + ": " + e.what());
    return std::vector<T>(n);
  }
}
}  // namespace

std::vector<std::uint32_t> compute(const std::string& body, const std::vector<std::uint32_t>& a, const std::vector<std::uint32_t>& b, const std::vector<std::uint32_t>& c) {
  return computeAs<std::uint32_t>("32", body, a, b, c);
}

std::uint32_t one(const std::string& body, std::uint32_t a, std::uint32_t b, std::uint32_t c) { return computeAs<std::uint32_t>("32", body, {a}, {b}, {c})[0]; }

std::uint64_t one64(const std::string& body, std::uint64_t a, std::uint64_t b, std::uint64_t c) { return computeAs<std::uint64_t>("64", body, {a}, {b}, {c})[0]; }

}  // namespace lacuna::emulator::test

int main(int count, char** arguments) {
  using namespace lacuna::emulator::test;
  for (const Case& c : cases()) {
    if (count > 1 && std::strstr(c.name, arguments[1]) == nullptr) continue;
    int before = failures;
    c.run();
    std::printf("%s %s\n", failures == before ? "ok  " : "FAIL", c.name);
  }
  return failures == 0 ? 0 : 1;
}
