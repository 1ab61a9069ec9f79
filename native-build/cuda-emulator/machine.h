// SPDX-License-Identifier: Apache-2.0
// The emulated device behind the driver front: memory, modules of PTX, launches.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace lacuna::emulator {

using Address = std::uint64_t;

/// What the machine checks beside bounds and alignment, which are always checked.
struct Options {
  bool races = true;        ///< LACUNA_EMULATOR_RACES=0 turns it off
  bool initialised = true;  ///< LACUNA_EMULATOR_INIT=0 turns it off
  unsigned threads = 0;     ///< LACUNA_EMULATOR_THREADS; 0: one a core
  std::uint64_t instructionLimit = 0;  ///< LACUNA_EMULATOR_LIMIT: warp instructions a block may run; 0: 2^36
  static Options fromEnvironment();
};

/// A device allocation or a registered range of host memory.
struct Range {
  Address base;
  std::size_t bytes;
  bool host;
};

/// Device memory. A device address is the address of its bytes in this process, so pinned host memory and device
/// memory share one address space; device allocations are 512-byte aligned with unmapped gaps between them.
/// All calls are safe from several host threads.
class Memory {
 public:
  explicit Memory(std::size_t capacity = std::size_t{64} << 30);
  ~Memory();
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  /// The address, or 0 when the capacity is exhausted. The bytes count as unwritten.
  Address allocate(std::size_t bytes);
  /// False when the address is not the start of a live device allocation.
  bool free(Address address);
  /// Makes host bytes addressable by kernels (pinned memory). They count as written. False on overlap.
  bool registerHost(const void* host, std::size_t bytes);
  bool unregisterHost(const void* host);
  /// The live range that holds the address.
  std::optional<Range> find(Address address) const;

  /// The following return an empty string, or say what is wrong with the range. Sources of device memory may be
  /// unwritten: written-ness is copied along. copyOut of unwritten bytes is allowed (they read as zero).
  std::string copyIn(Address to, const void* from, std::size_t bytes);
  std::string copyOut(void* to, Address from, std::size_t bytes) const;
  std::string copy(Address to, Address from, std::size_t bytes);
  /// Fills count elements of width 1, 2 or 4 bytes.
  std::string fill(Address to, std::uint32_t value, unsigned width, std::size_t count);

  std::size_t capacity() const;
  std::size_t used() const;

  struct State;
  State& state() const { return *state_; }

 private:
  std::unique_ptr<State> state_;
};

/// A module that cannot be read: the message names the line and the instruction.
struct PtxError : std::runtime_error {
  PtxError(unsigned at, const std::string& what);
  unsigned line;
};

struct Parameter {
  std::string name;
  std::size_t offset;
  std::size_t bytes;
};

struct Program;  // the decoded kernel (machine/program.h)

/// An entry point of a module.
class Function {
 public:
  std::string name;
  std::vector<Parameter> parameters;
  std::size_t parameterBytes = 0;
  std::size_t sharedBytes = 0;  ///< static
  std::size_t constBytes = 0;   ///< of the module
  std::size_t localBytes = 0;   ///< per thread
  unsigned registers = 0;       ///< estimate: 32-bit registers live at once
  unsigned maxThreads = 1024;   ///< from .maxntid / .reqntid
  unsigned ptxVersion = 0;      ///< 85 for .version 8.5
  unsigned target = 0;          ///< 80 for sm_80
  std::shared_ptr<const Program> program;
};

struct Global {
  std::string name;
  Address address;
  std::size_t bytes;
};

/// A parsed module. Its .global and .const variables live in the memory until it is destroyed.
class Module {
 public:
  using Functions = std::vector<std::unique_ptr<const Function>>;

  /// Throws PtxError.
  Module(Memory& memory, std::string_view ptx);
  ~Module();
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  const Function* function(std::string_view name) const;  ///< null when absent
  const Global* global(std::string_view name) const;      ///< null when absent
  const Functions& functions() const { return *functions_; }

 private:
  Memory& memory_;
  std::shared_ptr<const Functions> functions_;
  std::vector<Global> globals_;
};

struct Dim3 {
  unsigned x = 1, y = 1, z = 1;
};

/// Counts of one launch. Unless said otherwise a unit is one warp instruction.
struct Counts {
  enum Class : unsigned {
    INTEGER, FLOAT, HALF, DOUBLE, CONVERT, MOVE, COMPARE, CONTROL, DOT, TENSOR, SHUFFLE, BARRIER, FENCE, PARAM_CONST,
    GLOBAL_LOAD, GLOBAL_STORE, SHARED_LOAD, SHARED_STORE, LOCAL, MATRIX_LOAD, ASYNC_COPY, ATOMIC, SPECIAL, CLASSES
  };
  static const char* className(unsigned cls);

  std::uint64_t instructions = 0;       ///< warp instructions
  std::uint64_t threadInstructions = 0; ///< times active lanes
  std::uint64_t byClass[CLASSES] = {};
  struct Traffic {
    std::uint64_t requests = 0;      ///< warp requests
    std::uint64_t sectors = 0;       ///< 32-byte sectors touched, summed over requests
    std::uint64_t idealSectors = 0;  ///< least sectors the distinct bytes of each request could fit in
    std::uint64_t bytes = 0;         ///< distinct bytes asked for, summed over requests
    std::uint64_t distinctSectors = 0;  ///< touched at least once in the launch: what a perfect cache would move
  } load, store;                     ///< global memory; cp.async counts as load
  std::uint64_t sharedAccesses = 0;     ///< warp accesses to shared memory
  std::uint64_t sharedWavefronts = 0;   ///< cycles of the 32 banks they take
  std::uint64_t sharedIdeal = 0;        ///< cycles without conflicts
  std::uint64_t bankConflicts = 0;      ///< sharedWavefronts - sharedIdeal
  std::uint64_t denseMultiplyAdds = 0;  ///< of mma
  std::uint64_t sparseMultiplyAdds = 0; ///< of mma.sp, counted as the dense product would be
  std::uint64_t barriers = 0;           ///< barriers passed, per block
  std::uint64_t atomics = 0;            ///< lanes
  std::uint64_t divergentBranches = 0;
  std::uint64_t blocks = 0, threads = 0;
  unsigned registers = 0;
  std::size_t staticShared = 0, dynamicShared = 0;

  void add(const Counts& other);
  /// One JSON object on one line, with the kernel's name and launch shape.
  std::string json(std::string_view kernel, Dim3 grid, Dim3 block) const;
};

enum class Fault {
  NONE, INVALID_VALUE, ILLEGAL_ADDRESS, MISALIGNED, UNINITIALISED, RACE, DIVERGENT_BARRIER, ASYNC_READ, METADATA,
  ILLEGAL_INSTRUCTION, TRAP, HANG
};

struct Result {
  Fault fault = Fault::NONE;
  std::string message;  ///< kernel, PTX line and instruction, block, thread, address
  Counts counts;
  bool ok() const { return fault == Fault::NONE; }
};

/// Limits that the device reports and launch checks.
struct Limits {
  static constexpr unsigned maxThreadsPerBlock = 1024;
  static constexpr unsigned warpSize = 32;
  static constexpr std::size_t sharedPerBlock = 48 << 10;
  static constexpr std::size_t sharedPerBlockOptIn = 227 << 10;  ///< launch accepts up to this
};

/// Runs a grid to its end. parameters holds function.parameterBytes laid out as Function::parameters says.
/// Launches may run at the same time from several host threads.
Result launch(Memory& memory, const Function& function, Dim3 grid, Dim3 block, std::size_t dynamicShared,
              const void* parameters, const Options& options);

}  // namespace lacuna::emulator
