// SPDX-License-Identifier: Apache-2.0
// A kernel decoded once: every operand is the place of 32 lanes, every instruction a function over them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "../machine.h"

namespace lacuna::emulator {

struct Warp;
struct Instr;
using Run = void (*)(Warp&, const Instr&);

/// Place of an operand's 32 lanes: an area in the top two bits, a byte offset below. Predicates are one 32-bit mask.
using Ref = std::uint32_t;
enum Area : std::uint32_t { REGISTERS = 0, CONSTANTS = 1u << 30, SPECIALS = 2u << 30 };
constexpr Ref NO_REF = ~0u;
constexpr Ref REF_OFFSET = (1u << 30) - 1;

enum class Control : std::uint8_t {
  NONE,
  BRANCH,
  TABLE,    ///< brx.idx
  EXIT,
  BARRIER,  ///< bar: all live lanes of the warp, then other warps
  MEMBERS,  ///< the lanes named in the member mask must be here
  WARP,     ///< all 32 lanes must be here
  TRAP
};

struct Instr {
  Run run = nullptr;
  Ref d = NO_REF, a = NO_REF, b = NO_REF, c = NO_REF;
  Ref guard = NO_REF;
  bool guardNegated = false;
  Control control = Control::NONE;
  std::uint8_t cls = Counts::MOVE;
  bool leader = false;        ///< first of a basic block
  std::uint8_t count = 1;     ///< elements of a vector access
  std::uint8_t bytes = 0;     ///< of one element
  bool address32 = false;     ///< the address register has 32 bits
  bool strong = false;        ///< volatile, relaxed, acquire or release
  bool narrow = false;        ///< may touch less than a word of shared memory
  std::uint32_t line = 0;
  std::uint32_t order = 0;    ///< of the basic block: the split with the least runs first
  std::uint32_t extra = 0;    ///< first of its references in Program::extras
  std::uint32_t flags = 0;
  std::uint32_t target = 0;   ///< of a branch, or first entry of a table in Program::extras
  std::int64_t offset = 0;    ///< of an address, or an immediate
  const void* aux = nullptr;  ///< a function the handler calls per element
};

struct Program {
  std::string name;
  std::vector<Instr> code;
  std::vector<std::uint32_t> extras;
  std::vector<std::string> texts;      ///< mnemonic of each instruction
  std::vector<std::byte> constants;
  std::size_t registerBytes = 0;
  std::size_t localBytes = 0;
  std::size_t parameterBytes = 0;
  std::size_t staticShared = 0;
  bool byteShared = false;  ///< some access to shared memory is narrower than a word
};

/// 32 lanes of 32 bits each, in this order, in the specials area.
namespace special {
enum Register : std::uint32_t {
  TID_X, TID_Y, TID_Z, NTID_X, NTID_Y, NTID_Z, CTAID_X, CTAID_Y, CTAID_Z, NCTAID_X, NCTAID_Y, NCTAID_Z, LANEID, WARPID,
  NWARPID, SMID, NSMID, LANEMASK_EQ, LANEMASK_LE, LANEMASK_LT, LANEMASK_GE, LANEMASK_GT, DYNAMIC_SMEM_SIZE,
  TOTAL_SMEM_SIZE, ZERO, ONE, GRIDID_LOW, CLOCK, CLOCK_HI, COUNT
};
}

/// Generic addresses above all host addresses: an offset into the window is an address of the space.
constexpr Address SHARED_WINDOW = Address{1} << 48;
constexpr Address LOCAL_WINDOW = SHARED_WINDOW + (Address{1} << 40);
constexpr Address PARAM_WINDOW = SHARED_WINDOW + (Address{2} << 40);
constexpr Address WINDOW_BYTES = Address{1} << 40;

}  // namespace lacuna::emulator
