// SPDX-License-Identifier: Apache-2.0
#include "flatten.h"

#include <algorithm>
#include <set>

#include "../machine.h"

namespace lacuna::emulator {

namespace {
using ptx::Function;
using ptx::Instruction;
using ptx::Operand;

class Flattener {
 public:
  explicit Flattener(const ptx::Module& module) : module_(module) {}

  FlatKernel run(const Function& entry) {
    expand(entry, {}, entry.line);
    Instruction end;
    end.line = flat_.code.empty() ? entry.line : flat_.code.back().line;
    end.opcode = "exit";
    flat_.code.push_back(std::move(end));
    return std::move(flat_);
  }

 private:
  void expand(const Function& f, const std::vector<unsigned>& arguments, unsigned line) {
    if (!path_.insert(f.name).second) throw PtxError(line, "recursion through " + f.name + " is not supported");
    unsigned registerBase = static_cast<unsigned>(flat_.registers.size());
    flat_.registers.insert(flat_.registers.end(), f.registers.begin(), f.registers.end());
    std::vector<unsigned> variableAt(f.variables.size());
    for (std::size_t v = 0; v < f.variables.size(); v++) {
      if (v < arguments.size()) {
        variableAt[v] = arguments[v];
      } else if (f.variables[v].space == ptx::Space::SHARED) {
        auto [at, fresh] = shared_.emplace(f.name + "/" + std::to_string(v), flat_.variables.size());
        if (fresh) flat_.variables.push_back(f.variables[v]);
        variableAt[v] = at->second;
      } else {
        variableAt[v] = static_cast<unsigned>(flat_.variables.size());
        flat_.variables.push_back(f.variables[v]);
      }
    }
    unsigned labelBase = static_cast<unsigned>(flat_.labels.size());
    unsigned endLabel = labelBase + static_cast<unsigned>(f.labels.size());
    flat_.labels.resize(endLabel + 1, ~0u);
    for (auto [label, table] : f.tableOfLabel) {
      std::vector<unsigned> targets;
      for (unsigned target : f.branchTables[table]) targets.push_back(labelBase + target);
      flat_.tableOfLabel[labelBase + label] = static_cast<unsigned>(flat_.tables.size());
      flat_.tables.push_back(std::move(targets));
    }
    auto place = [&](Operand& o, auto& self) -> void {
      if (o.kind == Operand::REGISTER) o.index += registerBase;
      if (o.kind == Operand::LOCAL) o.index = variableAt[o.index];
      if (o.kind == Operand::LABEL) o.index += labelBase;
      for (Operand& e : o.elements) self(e, self);
      for (Operand& e : o.second) self(e, self);
    };
    std::vector<unsigned> startOf(f.body.size() + 1);
    for (std::size_t k = 0; k < f.body.size(); k++) {
      startOf[k] = static_cast<unsigned>(flat_.code.size());
      Instruction in = f.body[k];
      if (in.guard >= 0) in.guard += static_cast<int>(registerBase);
      for (Operand& o : in.operands) place(o, place);
      if (in.opcode == "call") {
        call(in);
      } else if (in.opcode == "ret" && !f.entry) {
        jump(in, endLabel);
      } else {
        flat_.code.push_back(std::move(in));
      }
    }
    startOf[f.body.size()] = static_cast<unsigned>(flat_.code.size());
    for (std::size_t l = 0; l < f.labels.size(); l++) {
      if (f.labels[l] != ~0u) flat_.labels[labelBase + l] = startOf[f.labels[l]];
    }
    flat_.labels[endLabel] = static_cast<unsigned>(flat_.code.size());
    path_.erase(f.name);
  }

  void jump(const Instruction& at, unsigned label) {
    Instruction bra;
    bra.line = at.line;
    bra.guard = at.guard;
    bra.guardNegated = at.guardNegated;
    bra.opcode = "bra";
    Operand target;
    target.kind = Operand::LABEL;
    target.index = label;
    bra.operands.push_back(target);
    flat_.code.push_back(std::move(bra));
  }

  void call(const Instruction& in) {
    std::size_t k = 0;
    std::vector<unsigned> results, arguments;
    auto list = [&](std::vector<unsigned>& out) {
      for (const Operand& o : in.operands[k].elements) {
        if (o.kind != Operand::LOCAL) throw PtxError(in.line, "call: only .param variables can be passed");
        out.push_back(o.index);
      }
      k++;
    };
    if (k < in.operands.size() && in.operands[k].kind == Operand::VECTOR) list(results);
    if (k >= in.operands.size() || in.operands[k].kind != Operand::SYMBOL) throw PtxError(in.line, "call: indirect calls are not supported");
    const std::string& name = in.operands[k++].name;
    if (k < in.operands.size() && in.operands[k].kind == Operand::VECTOR) list(arguments);
    if (name == "vprintf") return;  // its text goes nowhere
    unsigned skip = static_cast<unsigned>(flat_.labels.size());
    if (in.guard >= 0) {
      flat_.labels.push_back(~0u);
      Instruction negated = in;
      negated.guardNegated = !in.guardNegated;
      jump(negated, skip);
    }
    if (name == "__assertfail") {
      Instruction trap;
      trap.line = in.line;
      trap.opcode = "trap";
      trap.modifiers.push_back("assertion");
      flat_.code.push_back(std::move(trap));
    } else {
      auto callee = std::find_if(module_.functions.begin(), module_.functions.end(), [&](const Function& f) { return f.name == name; });
      if (callee == module_.functions.end() || !callee->defined) throw PtxError(in.line, "call of '" + name + "', which is not defined in the module");
      if (callee->parameters.size() != arguments.size() || callee->results.size() != results.size()) {
        throw PtxError(in.line, "call of '" + name + "' with a wrong number of parameters");
      }
      arguments.insert(arguments.end(), results.begin(), results.end());
      expand(*callee, arguments, in.line);
    }
    if (in.guard >= 0) flat_.labels[skip] = static_cast<unsigned>(flat_.code.size());
  }

  const ptx::Module& module_;
  FlatKernel flat_;
  std::set<std::string> path_;
  std::map<std::string, unsigned> shared_;
};

// ---- flow --------------------------------------------------------------------------------------------------------

bool endsBlock(const Instruction& in) {
  return in.opcode == "bra" || in.opcode == "brx" || in.opcode == "exit" || in.opcode == "ret" || in.opcode == "trap";
}

class Orderer {
 public:
  explicit Orderer(Flow& flow) : flow_(flow), member_(flow.blocks.size(), 0), index_(flow.blocks.size()), low_(flow.blocks.size()), state_(flow.blocks.size()) {}

  void run() {
    std::vector<unsigned> all(flow_.blocks.size());
    for (unsigned b = 0; b < all.size(); b++) all[b] = b;
    order(all);
  }

 private:
  void order(const std::vector<unsigned>& nodes) {
    unsigned mark = ++mark_;
    for (unsigned n : nodes) {
      member_[n] = mark;
      state_[n] = 0;
    }
    std::vector<std::vector<unsigned>> components = tarjan(nodes, mark);
    // Tarjan finds components in reverse topological order.
    for (auto component = components.rbegin(); component != components.rend(); ++component) {
      std::sort(component->begin(), component->end());
      if (component->size() == 1) {
        flow_.blocks[component->front()].order = next_++;
        continue;
      }
      unsigned head = headOf(*component);
      flow_.blocks[head].order = next_++;
      component->erase(std::find(component->begin(), component->end(), head));
      order(*component);
    }
  }

  unsigned headOf(const std::vector<unsigned>& component) {
    std::set<unsigned> inside(component.begin(), component.end());
    for (unsigned b = 0; b < flow_.blocks.size(); b++) {
      if (inside.contains(b)) continue;
      for (unsigned n : flow_.blocks[b].next) {
        if (inside.contains(n)) return n;
      }
    }
    return component.front();
  }

  std::vector<std::vector<unsigned>> tarjan(const std::vector<unsigned>& nodes, unsigned mark) {
    std::vector<std::vector<unsigned>> components;
    std::vector<unsigned> stack;
    struct Frame {
      unsigned node;
      std::size_t edge;
    };
    unsigned counter = 0;
    for (unsigned root : nodes) {
      if (state_[root] != 0) continue;
      std::vector<Frame> frames{{root, 0}};
      index_[root] = low_[root] = counter++;
      state_[root] = 1;
      stack.push_back(root);
      while (!frames.empty()) {
        Frame& f = frames.back();
        const auto& next = flow_.blocks[f.node].next;
        if (f.edge < next.size()) {
          unsigned n = next[f.edge++];
          if (member_[n] != mark) continue;
          if (state_[n] == 0) {
            index_[n] = low_[n] = counter++;
            state_[n] = 1;
            stack.push_back(n);
            frames.push_back({n, 0});
          } else if (state_[n] == 1) {
            low_[f.node] = std::min(low_[f.node], index_[n]);
          }
          continue;
        }
        unsigned node = f.node;
        frames.pop_back();
        if (!frames.empty()) low_[frames.back().node] = std::min(low_[frames.back().node], low_[node]);
        if (low_[node] != index_[node]) continue;
        components.emplace_back();
        unsigned n;
        do {
          n = stack.back();
          stack.pop_back();
          state_[n] = 2;
          components.back().push_back(n);
        } while (n != node);
      }
    }
    return components;
  }

  Flow& flow_;
  std::vector<unsigned> member_, index_, low_;
  std::vector<std::uint8_t> state_;
  unsigned mark_ = 0, next_ = 0;
};

// ---- registers -----------------------------------------------------------------------------------------------------

const std::set<std::string> NO_RESULT = {"st",   "red",   "bra",      "brx",     "bar",  "barrier", "membar",       "fence",    "cp",
                                         "exit", "ret",   "trap",     "call",    "prefetch", "prefetchu", "nanosleep", "stmatrix", "discard",
                                         "applypriority", "griddepcontrol", "brkpt", "pmevent"};

template <class F>
void eachRegister(const Operand& o, F f) {
  if (o.kind == Operand::REGISTER) f(o.index);
  for (const Operand& e : o.elements) eachRegister(e, f);
  for (const Operand& e : o.second) eachRegister(e, f);
}

template <class Use, class Define>
void eachAccess(const Instruction& in, Use use, Define define) {
  bool result = !NO_RESULT.contains(in.opcode) || ((in.opcode == "bar" || in.opcode == "barrier") && in.modifiers.size() > 1 &&
                std::find(in.modifiers.begin(), in.modifiers.end(), "red") != in.modifiers.end());
  if (in.guard >= 0) use(static_cast<unsigned>(in.guard));
  for (std::size_t k = 0; k < in.operands.size(); k++) {
    const Operand& o = in.operands[k];
    if (k == 0 && result && o.kind != Operand::ADDRESS) {
      eachRegister(o, define);
    } else {
      eachRegister(o, use);
    }
  }
}

unsigned slotBytes(ptx::Type t) { return t == ptx::Type::PRED ? 4 : std::max(2u, ptx::bytesOf(t)) * 32; }
unsigned slotClass(unsigned bytes) { return bytes == 4 ? 0 : bytes == 64 ? 1 : bytes == 128 ? 2 : 3; }
}  // namespace

FlatKernel flatten(const ptx::Module& module, const ptx::Function& entry) { return Flattener(module).run(entry); }

Flow flowOf(const FlatKernel& kernel) {
  Flow flow;
  std::size_t n = kernel.code.size();
  std::vector<bool> leader(n + 1, false);
  leader[0] = true;
  auto targetsOf = [&](const Instruction& in) {
    std::vector<unsigned> targets;
    if (in.opcode == "bra") {
      if (in.operands.size() != 1 || in.operands[0].kind != Operand::LABEL) throw PtxError(in.line, "bra: expected one label");
      targets.push_back(kernel.labels[in.operands[0].index]);
    } else if (in.opcode == "brx") {
      if (in.operands.size() != 2 || in.operands[1].kind != Operand::LABEL) throw PtxError(in.line, "brx.idx: expected an index and a list of targets");
      auto table = kernel.tableOfLabel.find(in.operands[1].index);
      if (table == kernel.tableOfLabel.end()) throw PtxError(in.line, "brx.idx: '" + in.operands[1].name + "' is no list of targets");
      for (unsigned label : kernel.tables[table->second]) targets.push_back(kernel.labels[label]);
    }
    return targets;
  };
  for (std::size_t k = 0; k < n; k++) {
    if (!endsBlock(kernel.code[k])) continue;
    leader[k + 1] = true;
    for (unsigned t : targetsOf(kernel.code[k])) leader[t] = true;
  }
  flow.blockOf.resize(n);
  for (std::size_t k = 0; k < n; k++) {
    if (leader[k]) flow.blocks.push_back({static_cast<unsigned>(k), static_cast<unsigned>(k), {}, 0});
    flow.blocks.back().end = static_cast<unsigned>(k + 1);
    flow.blockOf[k] = static_cast<unsigned>(flow.blocks.size() - 1);
  }
  for (auto& block : flow.blocks) {
    const Instruction& last = kernel.code[block.end - 1];
    for (unsigned t : targetsOf(last)) block.next.push_back(flow.blockOf[t]);
    bool falls = !endsBlock(last) || last.guard >= 0;
    if (falls && block.end < n) block.next.push_back(flow.blockOf[block.end]);
  }
  Orderer(flow).run();
  return flow;
}

Storage allocate(const FlatKernel& kernel, const Flow& flow) {
  std::size_t count = kernel.registers.size(), words = (count + 63) / 64;
  using Set = std::vector<std::uint64_t>;
  auto put = [](Set& s, unsigned r) { s[r / 64] |= std::uint64_t{1} << (r % 64); };
  auto take = [](Set& s, unsigned r) { s[r / 64] &= ~(std::uint64_t{1} << (r % 64)); };
  auto holds = [](const Set& s, unsigned r) { return (s[r / 64] >> (r % 64) & 1) != 0; };
  std::size_t blocks = flow.blocks.size();
  std::vector<Set> in(blocks, Set(words)), out(blocks, Set(words)), uses(blocks, Set(words)), defines(blocks, Set(words));
  for (std::size_t b = 0; b < blocks; b++) {
    for (unsigned k = flow.blocks[b].first; k < flow.blocks[b].end; k++) {
      const Instruction& i = kernel.code[k];
      eachAccess(
          i, [&](unsigned r) { if (!holds(defines[b], r)) put(uses[b], r); },
          [&](unsigned r) { if (i.guard < 0 && !holds(uses[b], r)) put(defines[b], r); });
    }
  }
  for (bool changed = true; changed;) {
    changed = false;
    for (std::size_t b = blocks; b-- > 0;) {
      for (unsigned n : flow.blocks[b].next) {
        for (std::size_t w = 0; w < words; w++) out[b][w] |= in[n][w];
      }
      for (std::size_t w = 0; w < words; w++) {
        std::uint64_t value = uses[b][w] | (out[b][w] & ~defines[b][w]);
        if (value != in[b][w]) {
          in[b][w] = value;
          changed = true;
        }
      }
    }
  }
  Storage storage;
  std::vector<unsigned> first(count, ~0u), last(count, 0);
  auto touch = [&](unsigned r, unsigned at) {
    first[r] = std::min(first[r], at);
    last[r] = std::max(last[r], at);
  };
  auto weight = [&](unsigned r) {
    ptx::Type t = kernel.registers[r];
    return t == ptx::Type::PRED ? 0u : std::max(1u, ptx::bytesOf(t) / 4);
  };
  for (std::size_t b = 0; b < blocks; b++) {
    const auto& block = flow.blocks[b];
    unsigned live = 0;
    Set now = out[b];
    for (unsigned r = 0; r < count; r++) {
      if (holds(in[b], r)) touch(r, block.first);
      if (holds(out[b], r)) {
        touch(r, block.end - 1);
        live += weight(r);
      }
    }
    storage.peak = std::max(storage.peak, live);
    for (unsigned k = block.end; k-- > block.first;) {
      const Instruction& i = kernel.code[k];
      eachAccess(
          i, [&](unsigned r) { touch(r, k); },
          [&](unsigned r) {
            touch(r, k);
            if (i.guard < 0 && holds(now, r)) {
              take(now, r);
              live -= weight(r);
            }
          });
      eachAccess(
          i,
          [&](unsigned r) {
            if (!holds(now, r)) {
              put(now, r);
              live += weight(r);
            }
          },
          [](unsigned) {});
      storage.peak = std::max(storage.peak, live);
    }
  }
  std::vector<unsigned> byStart;
  for (unsigned r = 0; r < count; r++) {
    if (first[r] != ~0u) byStart.push_back(r);
  }
  std::sort(byStart.begin(), byStart.end(), [&](unsigned a, unsigned b) { return first[a] < first[b]; });
  storage.offset.assign(count, 0);
  std::vector<std::uint32_t> spare[4];
  std::multimap<unsigned, unsigned> active;  // end, register
  for (unsigned r : byStart) {
    while (!active.empty() && active.begin()->first < first[r]) {
      unsigned old = active.begin()->second;
      spare[slotClass(slotBytes(kernel.registers[old]))].push_back(storage.offset[old]);
      active.erase(active.begin());
    }
    unsigned bytes = slotBytes(kernel.registers[r]);
    auto& list = spare[slotClass(bytes)];
    if (list.empty()) {
      if (bytes >= 64) storage.bytes = (storage.bytes + 63) / 64 * 64;
      storage.offset[r] = static_cast<std::uint32_t>(storage.bytes);
      storage.bytes += bytes;
    } else {
      storage.offset[r] = list.back();
      list.pop_back();
    }
    active.emplace(last[r], r);
  }
  storage.bytes = (storage.bytes + 63) / 64 * 64;
  return storage;
}

}  // namespace lacuna::emulator
