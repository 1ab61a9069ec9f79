// SPDX-License-Identifier: Apache-2.0
#include "state.h"

#include <cstdlib>
#include <cstring>

namespace lacuna::emulator::driver {

namespace {

/// Values of chips of each compute capability: A100, RTX 3090, RTX 4090, H100.
Chip chipOf(const char* capability) {
  static const Chip chips[] = {
      {8, 0, 108, 2048, 32, 164 << 10, 163 << 10, 40 << 20, 1410000, 1215000, 5120},
      {8, 6, 82, 1536, 16, 100 << 10, 99 << 10, 6 << 20, 1695000, 9751000, 384},
      {8, 9, 128, 1536, 24, 100 << 10, 99 << 10, 72 << 20, 2520000, 10501000, 384},
      {9, 0, 132, 2048, 32, 228 << 10, 227 << 10, 50 << 20, 1755000, 2619000, 5120},
  };
  if (capability == nullptr) return chips[0];
  for (const Chip& chip : chips) {
    if (std::string(capability) == std::to_string(chip.major) + "." + std::to_string(chip.minor)) return chip;
  }
  std::fprintf(stderr, "lacuna emulator: LACUNA_EMULATOR_SM is %s, and can be 8.0, 8.6, 8.9 or 9.0: 8.0 is taken\n", capability);
  return chips[0];
}

std::uint64_t numberOf(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  if (text == nullptr) return otherwise;
  char* end = nullptr;
  const std::uint64_t value = std::strtoull(text, &end, 10);
  if (end != text && *end == 0 && value > 0) return value;
  std::fprintf(stderr, "lacuna emulator: %s is %s, not a number above 0: %llu is taken\n", variable, text,
               static_cast<unsigned long long>(otherwise));
  return otherwise;
}

constexpr std::size_t KEPT_COUNTS = 1 << 16;

}  // namespace

Driver::Driver()
    : chip(chipOf(std::getenv("LACUNA_EMULATOR_SM"))),
      version(static_cast<int>(numberOf("LACUNA_EMULATOR_DRIVER", 13000))),
      deferred(std::getenv("LACUNA_EMULATOR_ASYNC") != nullptr && std::strcmp(std::getenv("LACUNA_EMULATOR_ASYNC"), "1") == 0),
      memory(numberOf("LACUNA_EMULATOR_MEMORY", std::uint64_t{24} << 30)),
      options(Options::fromEnvironment()) {
  chip.multiprocessors = static_cast<int>(numberOf("LACUNA_EMULATOR_MULTIPROCESSORS", static_cast<std::uint64_t>(chip.multiprocessors)));
  if (const char* path = std::getenv("LACUNA_EMULATOR_COUNTS")) {
    countsFile_ = std::fopen(path, "a");
    if (countsFile_ == nullptr) std::fprintf(stderr, "lacuna emulator: LACUNA_EMULATOR_COUNTS: cannot write %s\n", path);
  }
}

Driver& Driver::get() {
  static Driver* driver = new Driver();
  return *driver;
}

std::shared_ptr<Context> Driver::createContext(unsigned flags) {
  auto context = std::make_shared<Context>();
  context->flags = flags;
  context->id = nextId++;
  context->legacy = std::make_shared<Stream>();
  context->legacy->context = context.get();
  context->legacy->id = 1;
  contexts[context.get()] = context;
  return context;
}

void Driver::destroyContext(const std::shared_ptr<Context>& context) {
  Context* handle = context.get();
  std::erase_if(captures, [&](const auto& capture) { return capture->origin->context == handle; });
  execs.removeOf(handle);
  graphs.removeOf(handle);
  events.removeOf(handle);
  streams.removeOf(handle);
  kernels.removeOf(handle);
  modules.removeOf(handle);
  for (auto block = blocks.begin(); block != blocks.end();) {
    if (block->second.context != handle) {
      ++block;
      continue;
    }
    void* host = reinterpret_cast<void*>(block->first);
    if (block->second.kind == Block::ON_DEVICE) {
      memory.free(block->first);
    } else {
      memory.unregisterHost(host);
      if (block->second.kind == Block::ON_HOST) std::free(host);
    }
    block = blocks.erase(block);
  }
  contexts.erase(handle);
}

void Driver::report(const std::string& text, bool aloud) {
  lastError_ = text;
  if (aloud) std::fprintf(stderr, "lacuna emulator: %s\n", text.c_str());
}

void Driver::count(const std::string& json) {
  if (countsFile_ != nullptr) {
    std::fprintf(countsFile_, "%s\n", json.c_str());
    std::fflush(countsFile_);
  }
  if (counts_.size() == KEPT_COUNTS) counts_.pop_front();
  counts_.push_back(json);
}

std::string Driver::peekCounts() const {
  std::string lines;
  for (const std::string& line : counts_) lines += line + "\n";
  return lines;
}

std::string Driver::takeCounts() {
  std::string lines = peekCounts();
  counts_.clear();
  return lines;
}

Status fail(Status error, const std::string& text) {
  Driver::get().report(text);
  return error;
}

Status failContext(Context& context, Status error, const std::string& text) {
  context.failure = error;
  return fail(error, text);
}

std::vector<std::shared_ptr<Context>>& contextStack() {
  thread_local std::vector<std::shared_ptr<Context>> stack;
  return stack;
}

Status withDriver(const std::function<Status(Driver&)>& body) {
  Driver& driver = Driver::get();
  std::lock_guard hold(driver.lock);
  if (!driver.initialised) return fail(NOT_INITIALIZED, "a call before cuInit");
  try {
    return body(driver);
  } catch (const std::bad_alloc&) {
    return fail(OUT_OF_MEMORY, "the host's memory is exhausted");
  } catch (const std::exception& e) {
    return fail(UNKNOWN, std::string("the emulator failed: ") + e.what());
  }
}

Status inContext(const std::function<Status(Driver&, Context&)>& body) {
  return withDriver([&](Driver& driver) -> Status {
    auto& stack = contextStack();
    if (stack.empty()) return fail(INVALID_CONTEXT, "this thread has no current context");
    const std::shared_ptr<Context> context = stack.back();
    if (!driver.contexts.contains(context.get())) return fail(INVALID_CONTEXT, "the thread's current context was destroyed");
    if (context->failure != SUCCESS) return context->failure;
    return body(driver, *context);
  });
}

}  // namespace lacuna::emulator::driver

using lacuna::emulator::driver::Driver;

namespace {

long give(const std::string& text, char* to, std::size_t bytes) {
  if (to != nullptr && bytes > 0) {
    const std::size_t n = std::min(text.size(), bytes - 1);
    std::memcpy(to, text.data(), n);
    to[n] = 0;
  }
  return static_cast<long>(text.size());
}

}  // namespace

/// Copies the text of the last failure, cut at bytes - 1, and returns its full length.
extern "C" __attribute__((visibility("default"))) long lacunaEmulatorLastError(char* to, std::size_t bytes) {
  Driver& driver = Driver::get();
  std::lock_guard hold(driver.lock);
  return give(driver.lastError(), to, bytes);
}

/// Copies the counts of the launches since they were last taken, one JSON object a line, and returns their length. They are taken, that
/// is forgotten, when all of them fit; a null buffer asks for the length. At most the last 65536 launches are kept.
extern "C" __attribute__((visibility("default"))) long lacunaEmulatorCounts(char* to, std::size_t bytes) {
  Driver& driver = Driver::get();
  std::lock_guard hold(driver.lock);
  const std::string counts = driver.peekCounts();
  if (to != nullptr && counts.size() < bytes) driver.takeCounts();
  return give(counts, to, bytes);
}
