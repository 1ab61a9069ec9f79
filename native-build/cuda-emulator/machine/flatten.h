// SPDX-License-Identifier: Apache-2.0
// A kernel with its calls written out, its basic blocks, and what lives where.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "../ptx/ast.h"

namespace lacuna::emulator {

struct FlatKernel {
  std::vector<ptx::Instruction> code;   ///< one more than written: it always ends with exit
  std::vector<unsigned> labels;         ///< index into code
  std::vector<ptx::Type> registers;
  std::vector<ptx::Variable> variables; ///< .param of calls, .local and .shared of all inlined functions
  std::vector<std::vector<unsigned>> tables;  ///< of labels
  std::map<unsigned, unsigned> tableOfLabel;
};

/// Inlines every call. Throws PtxError on recursion and on calls to what is not known.
FlatKernel flatten(const ptx::Module& module, const ptx::Function& entry);

struct Flow {
  struct BasicBlock {
    unsigned first, end;
    std::vector<unsigned> next;
    unsigned order = 0;
  };
  std::vector<BasicBlock> blocks;
  std::vector<unsigned> blockOf;  ///< by instruction
};

/// Basic blocks with an order in which every loop is contiguous and ends before what follows it: when lanes stand at
/// several places, running the least place first brings them together as early as the graph allows
/// (Bourdoncle's weak topological order, used as in Diamos et al., "SIMD re-convergence at thread frontiers").
Flow flowOf(const FlatKernel& kernel);

struct Storage {
  std::vector<std::uint32_t> offset;  ///< by register, in a warp's register file
  std::size_t bytes = 0;
  unsigned peak = 0;                  ///< most 32-bit registers live at once
};

/// Shares space between registers that do not live at the same time.
Storage allocate(const FlatKernel& kernel, const Flow& flow);

}  // namespace lacuna::emulator
