// SPDX-License-Identifier: Apache-2.0
#include <cstdlib>
#include <mutex>
#include <thread>

#include "../machine.h"
#include "warp.h"

namespace lacuna::emulator {

namespace {
/// Workers keep their buffers from launch to launch.
class Pool {
 public:
  std::unique_ptr<Worker> take() {
    std::lock_guard lock(mutex_);
    if (idle_.empty()) return std::make_unique<Worker>();
    auto worker = std::move(idle_.back());
    idle_.pop_back();
    return worker;
  }
  void give(std::unique_ptr<Worker> worker) {
    std::lock_guard lock(mutex_);
    idle_.push_back(std::move(worker));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Worker>> idle_;
};

Pool& pool() {
  static Pool* const instance = new Pool;  // outlives static destruction, as driver calls may
  return *instance;
}

bool flag(const char* name, bool otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr || *value == '\0' ? otherwise : std::string_view(value) != "0";
}

std::uint64_t number(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? 0 : std::strtoull(value, nullptr, 10);
}

Result invalid(const Function& f, const std::string& what) {
  Result r;
  r.fault = Fault::INVALID_VALUE;
  r.message = "kernel " + f.name + ": " + what;
  return r;
}
}  // namespace

Options Options::fromEnvironment() {
  Options o;
  o.races = flag("LACUNA_EMULATOR_RACES", true);
  o.initialised = flag("LACUNA_EMULATOR_INIT", true);
  o.threads = static_cast<unsigned>(number("LACUNA_EMULATOR_THREADS"));
  o.instructionLimit = number("LACUNA_EMULATOR_LIMIT");
  return o;
}

void Worker::prepare(Launch& l) {
  launch = &l;
  memory = l.memory;
  counts = Counts{};
  ranges.fill(CachedRange{});
  const Program& program = *l.program;
  block.worker = this;
  block.program = &program;
  block.shape = l.shape;
  block.threads = l.shape.x * l.shape.y * l.shape.z;
  block.warpCount = (block.threads + LANES - 1) / LANES;
  block.shadowShift = program.byteShared ? 0 : 2;
  std::size_t sharedBytes = program.staticShared + l.dynamicShared;
  if (block.shared.size() < sharedBytes + 64) block.shared.resize(sharedBytes + 64);
  std::size_t registerBytes = program.registerBytes * block.warpCount;
  if (registers.size() < registerBytes + 64) registers.resize(registerBytes + 64);
  std::size_t specialBytes = special::COUNT * 128;
  specials.resize(specialBytes * block.warpCount + 64);
  std::size_t localBytes = program.localBytes * LANES;
  if (local.size() < localBytes * block.warpCount) local.resize(localBytes * block.warpCount);
  auto aligned = [](std::byte* p) { return p + (64 - reinterpret_cast<std::uintptr_t>(p) % 64) % 64; };
  block.warps.resize(block.warpCount);
  for (unsigned k = 0; k < block.warpCount; k++) {
    Warp& w = block.warps[k];
    w.index = k;
    w.block = &block;
    w.area[0] = aligned(registers.data()) + program.registerBytes * k;
    w.area[1] = const_cast<std::byte*>(program.constants.data());
    w.area[2] = aligned(specials.data()) + specialBytes * k;
    w.local = local.data() + localBytes * k;
    auto* s = reinterpret_cast<std::uint32_t*>(w.area[2]);
    auto each = [&](unsigned r, auto value) {
      for (unsigned lane = 0; lane < LANES; lane++) s[r * LANES + lane] = value(lane);
    };
    auto same = [&](unsigned r, std::uint32_t value) { each(r, [&](unsigned) { return value; }); };
    each(special::TID_X, [&](unsigned lane) { return (k * LANES + lane) % l.shape.x; });
    each(special::TID_Y, [&](unsigned lane) { return (k * LANES + lane) / l.shape.x % l.shape.y; });
    each(special::TID_Z, [&](unsigned lane) { return (k * LANES + lane) / (l.shape.x * l.shape.y); });
    same(special::NTID_X, l.shape.x);
    same(special::NTID_Y, l.shape.y);
    same(special::NTID_Z, l.shape.z);
    same(special::NCTAID_X, l.grid.x);
    same(special::NCTAID_Y, l.grid.y);
    same(special::NCTAID_Z, l.grid.z);
    each(special::LANEID, [&](unsigned lane) { return lane; });
    same(special::WARPID, k);
    same(special::NWARPID, block.warpCount);
    same(special::SMID, 0);
    same(special::NSMID, 1);
    each(special::LANEMASK_EQ, [&](unsigned lane) { return 1u << lane; });
    each(special::LANEMASK_LE, [&](unsigned lane) { return (2u << lane) - 1; });
    each(special::LANEMASK_LT, [&](unsigned lane) { return (1u << lane) - 1; });
    each(special::LANEMASK_GE, [&](unsigned lane) { return ~((1u << lane) - 1); });
    each(special::LANEMASK_GT, [&](unsigned lane) { return ~((2u << lane) - 1); });
    same(special::DYNAMIC_SMEM_SIZE, static_cast<std::uint32_t>(l.dynamicShared));
    same(special::TOTAL_SMEM_SIZE, static_cast<std::uint32_t>(sharedBytes));
  }
}

Result launch(Memory& memory, const Function& function, Dim3 grid, Dim3 shape, std::size_t dynamicShared, const void* parameters, const Options& options) {
  std::uint64_t blocks = std::uint64_t{grid.x} * grid.y * grid.z;
  std::uint64_t threads = std::uint64_t{shape.x} * shape.y * shape.z;
  if (blocks == 0 || threads == 0) return invalid(function, "a grid or block with an extent of zero");
  if (grid.y > 65535 || grid.z > 65535 || grid.x > 0x7fffffffu) return invalid(function, "the grid is too large");
  if (threads > Limits::maxThreadsPerBlock || shape.z > 64) return invalid(function, "a block of " + std::to_string(threads) + " threads is too large");
  if (threads > function.maxThreads) return invalid(function, "a block of " + std::to_string(threads) + " threads, the kernel was compiled for at most " + std::to_string(function.maxThreads));
  if (function.sharedBytes + dynamicShared > Limits::sharedPerBlockOptIn) {
    return invalid(function, std::to_string(function.sharedBytes + dynamicShared) + " bytes of shared memory, a block has at most " + std::to_string(Limits::sharedPerBlockOptIn));
  }
  Launch l{};
  l.memory = &memory.state();
  l.mark = l.memory->nextLaunch();
  l.function = &function;
  l.program = function.program.get();
  l.grid = grid;
  l.shape = shape;
  l.dynamicShared = dynamicShared;
  l.parameters = static_cast<const std::byte*>(parameters);
  l.options = options;
  l.limit = options.instructionLimit != 0 ? options.instructionLimit : std::uint64_t{1} << 36;

  Result result;
  std::mutex mutex;
  std::uint64_t stoppedAt = ~std::uint64_t{0};
  auto work = [&] {
    std::unique_ptr<Worker> worker = pool().take();
    worker->prepare(l);
    for (;;) {
      std::uint64_t b = l.nextBlock.fetch_add(1);
      if (b >= blocks || l.stopped.load(std::memory_order_relaxed)) break;
      try {
        worker->block.start({static_cast<unsigned>(b % grid.x), static_cast<unsigned>(b / grid.x % grid.y), static_cast<unsigned>(b / grid.x / grid.y)});
        worker->block.run();
      } catch (const Stop& stop) {
        l.stopped = true;
        std::lock_guard lock(mutex);
        // The first block that failed speaks, so that a message does not depend on the order of the threads.
        if (stop.fault != Fault::NONE && b < stoppedAt) {
          stoppedAt = b;
          result.fault = stop.fault;
          result.message = stop.message;
        }
        break;
      }
    }
    {
      std::lock_guard lock(mutex);
      result.counts.add(worker->counts);
    }
    pool().give(std::move(worker));
  };
  std::uint64_t hosts = options.threads != 0 ? options.threads : std::max(1u, std::thread::hardware_concurrency());
  hosts = std::min(hosts, blocks);
  std::vector<std::thread> others;
  for (std::uint64_t k = 1; k < hosts; k++) others.emplace_back(work);
  work();
  for (std::thread& t : others) t.join();
  result.counts.registers = function.registers;
  result.counts.staticShared = function.sharedBytes;
  result.counts.dynamicShared = dynamicShared;
  return result;
}

}  // namespace lacuna::emulator
