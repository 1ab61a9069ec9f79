// SPDX-License-Identifier: Apache-2.0
// From a parsed module to kernels that can run.
#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>

#include "../machine.h"
#include "decode.h"
#include "flatten.h"
#include "memory.h"

namespace lacuna::emulator {

namespace {
std::uint64_t alignUp(std::uint64_t value, std::uint64_t to) { return to == 0 ? value : (value + to - 1) / to * to; }

std::vector<Parameter> layout(const ptx::Function& f, std::size_t& total) {
  std::vector<Parameter> parameters;
  total = 0;
  for (const ptx::Variable& v : f.parameters) {
    total = alignUp(total, v.alignment);
    parameters.push_back({v.name, total, v.bytes});
    total += v.bytes;
  }
  return parameters;
}

using Places = std::unordered_map<std::string, Names::Place>;

class Lowering final : public Names {
 public:
  Lowering(const ptx::Module& module, const ptx::Function& entry, const Places& globals, Function& function)
      : module_(module), entry_(entry), globals_(globals), function_(function), program_(std::make_shared<Program>()) {}

  std::shared_ptr<const Program> run() {
    flat_ = flatten(module_, entry_);
    flow_ = flowOf(flat_);
    storage_ = allocate(flat_, flow_);
    sink_ = static_cast<Ref>(storage_.bytes);
    program_->name = entry_.name;
    program_->registerBytes = storage_.bytes + 256;
    program_->parameterBytes = function_.parameterBytes;
    placeVariables();
    for (std::size_t k = 0; k < flat_.code.size(); k++) program_->code.push_back(decode(k));
    for (const auto& block : flow_.blocks) {
      program_->code[block.first].leader = true;
      for (unsigned k = block.first; k < block.end; k++) program_->code[k].order = block.order;
    }
    function_.registers = std::max(16u, storage_.peak + 8);
    function_.sharedBytes = program_->staticShared;
    function_.localBytes = program_->localBytes;
    return program_;
  }

  Ref registerAt(unsigned index) override { return index == ~0u ? sink_ : storage_.offset[index]; }
  Type registerType(unsigned index) override { return flat_.registers[index]; }
  unsigned extra(std::uint32_t value) override {
    program_->extras.push_back(value);
    return static_cast<unsigned>(program_->extras.size() - 1);
  }

  Ref constant(std::uint64_t bits, unsigned width) override {
    if (width < 8 && width > 1) bits &= (std::uint64_t{1} << (width * 8)) - 1;
    auto key = std::make_pair(bits, width);
    auto found = constants_.find(key);
    if (found != constants_.end()) return found->second;
    auto& bytes = program_->constants;
    std::size_t at = bytes.size();
    if (width == 1) {  // a predicate's mask
      bytes.resize(at + 64);
      std::memcpy(bytes.data() + at, &bits, 4);
    } else {
      bytes.resize(at + LANES * width);
      for (unsigned l = 0; l < LANES; l++) std::memcpy(bytes.data() + at + l * width, &bits, width);
    }
    Ref ref = CONSTANTS + static_cast<Ref>(at);
    constants_.emplace(key, ref);
    return ref;
  }

  Place variable(const Operand& o, unsigned line) override {
    if (o.kind == Operand::LOCAL) return locals_[o.index];
    for (const Parameter& p : function_.parameters) {
      if (p.name == o.name) return {Space::PARAM, p.offset, p.bytes, true};
    }
    auto shared = shared_.find(o.name);
    if (shared != shared_.end()) return shared->second;
    auto global = globals_.find(o.name);
    if (global != globals_.end()) return global->second;
    throw PtxError(line, "'" + o.name + "' is not defined");
  }

 private:
  void placeVariables() {
    std::uint64_t local = 0, sharedBytes = 0;
    std::vector<const ptx::Variable*> dynamic;
    auto placeShared = [&](const ptx::Variable& v) -> Place {
      sharedBytes = alignUp(sharedBytes, v.alignment);
      Place place{Space::SHARED, sharedBytes, v.bytes, false};
      sharedBytes += v.bytes;
      return place;
    };
    for (const ptx::Variable& v : flat_.variables) {
      if (v.space == Space::SHARED) {
        locals_.push_back(placeShared(v));
        continue;
      }
      if (v.space != Space::LOCAL && v.space != Space::PARAM) {
        auto global = globals_.find(v.name);
        if (global == globals_.end()) throw PtxError(v.line, "variable " + v.name + " of a function must be .local, .shared or .param");
        locals_.push_back(global->second);
        continue;
      }
      local = alignUp(local, std::max(4u, v.alignment));
      locals_.push_back({Space::LOCAL, local, v.bytes, false});
      local += v.bytes;
    }
    std::unordered_map<std::string, bool> named;
    auto note = [&](const Operand& o, auto& self) -> void {
      if (o.kind == Operand::SYMBOL) named[o.name] = true;
      for (const Operand& e : o.elements) self(e, self);
    };
    for (const auto& in : flat_.code) {
      for (const Operand& o : in.operands) note(o, note);
    }
    for (const ptx::Variable& v : module_.variables) {
      if (v.space != Space::SHARED || !named.contains(v.name)) continue;
      if (v.external || v.bytes == 0) {
        dynamic.push_back(&v);
      } else {
        shared_[v.name] = placeShared(v);
      }
    }
    unsigned dynamicAlignment = 16;
    for (const auto* v : dynamic) dynamicAlignment = std::max(dynamicAlignment, v->alignment);
    if (!dynamic.empty()) sharedBytes = alignUp(sharedBytes, dynamicAlignment);
    for (const auto* v : dynamic) shared_[v->name] = {Space::SHARED, sharedBytes, 0, false};
    program_->staticShared = sharedBytes;
    program_->localBytes = alignUp(local, 16);
  }

  Instr decode(std::size_t k) {
    const ptx::Instruction& in = flat_.code[k];
    Decode decode = decoderOf(in.opcode);
    if (decode == nullptr) throw PtxError(in.line, "unknown instruction '" + ptx::describe(in) + "'");
    Decoder d(in, *this);
    if (in.guard >= 0) {
      d.out.guard = registerAt(static_cast<unsigned>(in.guard));
      d.out.guardNegated = in.guardNegated;
    }
    decode(d);
    d.finish();
    if (d.out.control == Control::BRANCH) {
      d.out.target = flat_.labels[in.operands[0].index];
    } else if (d.out.control == Control::TABLE) {
      const auto& targets = flat_.tables[flat_.tableOfLabel.at(in.operands[1].index)];
      d.out.target = static_cast<unsigned>(program_->extras.size());
      d.out.count = 0;
      d.out.flags = static_cast<unsigned>(targets.size());
      for (unsigned label : targets) program_->extras.push_back(flat_.labels[label]);
    }
    if (d.out.narrow) program_->byteShared = true;
    program_->texts.push_back(ptx::describe(in));
    return d.out;
  }

  const ptx::Module& module_;
  const ptx::Function& entry_;
  const Places& globals_;
  Function& function_;
  std::shared_ptr<Program> program_;
  FlatKernel flat_;
  Flow flow_;
  Storage storage_;
  Ref sink_ = 0;
  std::map<std::pair<std::uint64_t, unsigned>, Ref> constants_;
  std::vector<Place> locals_;
  std::unordered_map<std::string, Place> shared_;
};

/// What was read, by its text, as a driver keeps what it compiled. Only of modules without variables in memory, whose places are in the code.
class Cache {
 public:
  /// Never destroyed, as the driver: threads may still load when the process ends.
  static Cache& get() {
    static Cache* cache = new Cache();
    return *cache;
  }

  std::shared_ptr<const Module::Functions> find(std::string_view text) {
    const std::lock_guard lock(mutex_);
    auto found = read_.find(text);
    return found == read_.end() ? nullptr : found->second;
  }

  void keep(std::string_view text, std::shared_ptr<const Module::Functions> functions) {
    const std::lock_guard lock(mutex_);
    if (read_.size() >= MOST) read_.clear();
    read_.emplace(text, std::move(functions));
  }

 private:
  static constexpr std::size_t MOST = 64;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const Module::Functions>, std::less<>> read_;
};
}  // namespace

Module::Module(Memory& memory, std::string_view text) : memory_(memory), functions_(Cache::get().find(text)) {
  if (functions_ != nullptr) return;
  try {
    ptx::Module module = ptx::parse(text);
    Functions functions;
    Places places;
    std::size_t constBytes = 0;
    for (ptx::Variable& v : module.variables) {
      if (v.space == Space::SHARED) continue;
      if (v.space != Space::GLOBAL && v.space != Space::CONST) throw PtxError(v.line, "variable " + v.name + " outside of a function must be .global, .const or .shared");
      if (v.external) throw PtxError(v.line, "external variable " + v.name + " is not defined in the module");
      if (places.contains(v.name)) throw PtxError(v.line, "variable " + v.name + " is defined twice");
      if (v.space == Space::CONST) constBytes += v.bytes;
      Address address = memory_.allocate(std::max<std::size_t>(1, v.bytes));
      if (address == 0) throw PtxError(v.line, "no memory for variable " + v.name);
      globals_.push_back({v.name, address, v.bytes});
      places[v.name] = {v.space, address, v.bytes, false};
    }
    // Variables of modules without an initialiser start as zeros.
    for (ptx::Variable& v : module.variables) {
      if (v.space == Space::SHARED || v.bytes == 0) continue;
      v.initial.resize(v.bytes, 0);
      for (const auto& r : v.relocations) {
        auto target = places.find(r.symbol);
        if (target == places.end()) throw PtxError(v.line, "'" + r.symbol + "' in the initialiser of " + v.name + " is not a variable in memory");
        std::uint64_t value = target->second.address + static_cast<std::uint64_t>(r.addend);
        std::memcpy(v.initial.data() + r.offset, &value, 8);
      }
      memory_.copyIn(places[v.name].address, v.initial.data(), v.bytes);
    }
    for (const ptx::Function& f : module.functions) {
      if (!f.entry || !f.defined) continue;
      auto function = std::make_unique<Function>();
      function->name = f.name;
      function->parameters = layout(f, function->parameterBytes);
      function->constBytes = constBytes;
      if (f.maxThreads != 0) function->maxThreads = f.maxThreads;
      function->ptxVersion = module.version;
      function->target = module.target;
      function->program = Lowering(module, f, places, *function).run();
      functions.push_back(std::move(function));
    }
    functions_ = std::make_shared<const Functions>(std::move(functions));
    if (globals_.empty()) Cache::get().keep(text, functions_);
  } catch (...) {
    for (const Global& g : globals_) memory_.free(g.address);
    throw;
  }
}

Module::~Module() {
  for (const Global& g : globals_) memory_.free(g.address);
}

const Function* Module::function(std::string_view name) const {
  for (const auto& f : *functions_) {
    if (f->name == name) return f.get();
  }
  return nullptr;
}

const Global* Module::global(std::string_view name) const {
  for (const Global& g : globals_) {
    if (g.name == name) return &g;
  }
  return nullptr;
}

}  // namespace lacuna::emulator
