// SPDX-License-Identifier: Apache-2.0
#include "../machine.h"

namespace lacuna::emulator {

const char* Counts::className(unsigned cls) {
  static const char* const NAMES[CLASSES] = {"integer", "float", "half", "double", "convert", "move", "compare", "control", "dot", "tensor", "shuffle", "barrier",
                                             "fence", "param_const", "global_load", "global_store", "shared_load", "shared_store", "local", "matrix_load", "async_copy",
                                             "atomic", "special"};
  return cls < CLASSES ? NAMES[cls] : "";
}

void Counts::add(const Counts& o) {
  instructions += o.instructions;
  threadInstructions += o.threadInstructions;
  for (unsigned c = 0; c < CLASSES; c++) byClass[c] += o.byClass[c];
  auto traffic = [](Traffic& a, const Traffic& b) {
    a.requests += b.requests;
    a.sectors += b.sectors;
    a.idealSectors += b.idealSectors;
    a.bytes += b.bytes;
    a.distinctSectors += b.distinctSectors;
  };
  traffic(load, o.load);
  traffic(store, o.store);
  sharedAccesses += o.sharedAccesses;
  sharedWavefronts += o.sharedWavefronts;
  sharedIdeal += o.sharedIdeal;
  bankConflicts += o.bankConflicts;
  denseMultiplyAdds += o.denseMultiplyAdds;
  sparseMultiplyAdds += o.sparseMultiplyAdds;
  barriers += o.barriers;
  atomics += o.atomics;
  divergentBranches += o.divergentBranches;
  blocks += o.blocks;
  threads += o.threads;
}

std::string Counts::json(std::string_view kernel, Dim3 grid, Dim3 block) const {
  std::string out = "{\"kernel\":\"";
  for (char c : kernel) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
  auto put = [&](const char* name, std::uint64_t value) { out += std::string(",\"") + name + "\":" + std::to_string(value); };
  auto triple = [&](const char* name, Dim3 d) {
    out += std::string(",\"") + name + "\":[" + std::to_string(d.x) + "," + std::to_string(d.y) + "," + std::to_string(d.z) + "]";
  };
  triple("grid", grid);
  triple("block", block);
  put("blocks", blocks);
  put("threads", threads);
  put("registers", registers);
  put("static_shared", staticShared);
  put("dynamic_shared", dynamicShared);
  put("instructions", instructions);
  put("thread_instructions", threadInstructions);
  out += ",\"by_class\":{";
  for (unsigned c = 0, n = 0; c < CLASSES; c++) {
    if (byClass[c] == 0) continue;
    out += std::string(n++ != 0 ? "," : "") + "\"" + className(c) + "\":" + std::to_string(byClass[c]);
  }
  out += "}";
  auto traffic = [&](const char* name, const Traffic& t) {
    out += std::string(",\"") + name + "\":{\"requests\":" + std::to_string(t.requests) + ",\"sectors\":" + std::to_string(t.sectors) +
           ",\"ideal_sectors\":" + std::to_string(t.idealSectors) + ",\"bytes\":" + std::to_string(t.bytes) + ",\"distinct_sectors\":" + std::to_string(t.distinctSectors) + "}";
  };
  traffic("global_load", load);
  traffic("global_store", store);
  put("shared_accesses", sharedAccesses);
  put("shared_wavefronts", sharedWavefronts);
  put("shared_ideal", sharedIdeal);
  put("bank_conflicts", bankConflicts);
  put("dense_multiply_adds", denseMultiplyAdds);
  put("sparse_multiply_adds", sparseMultiplyAdds);
  put("barriers", barriers);
  put("atomics", atomics);
  put("divergent_branches", divergentBranches);
  return out + "}";
}

}  // namespace lacuna::emulator
