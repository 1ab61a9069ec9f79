// SPDX-License-Identifier: Apache-2.0
// Every function that JCuda's library imports, so that no call ends the process for want of a symbol. Those that the other files define
// take the place of these, which are weak.
#include <atomic>
#include <cstdio>
#include <string>

#include "state.h"

namespace {

int unsupported(const char* name, std::atomic_flag& said) {
  using namespace lacuna::emulator::driver;
  Driver& driver = Driver::get();
  std::lock_guard hold(driver.lock);
  driver.report(std::string(name) + " is not supported by the emulator", !said.test_and_set());
  return NOT_SUPPORTED;
}

}  // namespace

#define SYMBOL(name)                                                            \
  extern "C" __attribute__((weak, visibility("default"))) int name() {         \
    static std::atomic_flag said;                                               \
    return unsupported(#name, said);                                            \
  }
#include "symbols.inc"
