// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cctype>
#include <bit>
#include <cstring>
#include <optional>
#include <unordered_map>

#include "../machine.h"
#include "ast.h"
#include "lexer.h"

namespace lacuna::emulator {

PtxError::PtxError(unsigned at, const std::string& what)
    : std::runtime_error("PTX line " + std::to_string(at) + ": " + what), line(at) {}

namespace ptx {

namespace {
const std::unordered_map<std::string, Type> TYPES = {
    {"pred", Type::PRED}, {"u8", Type::U8},       {"u16", Type::U16},     {"u32", Type::U32},   {"u64", Type::U64},
    {"s8", Type::S8},     {"s16", Type::S16},     {"s32", Type::S32},     {"s64", Type::S64},   {"b8", Type::B8},
    {"b16", Type::B16},   {"b32", Type::B32},     {"b64", Type::B64},     {"b128", Type::B128}, {"f16", Type::F16},
    {"f16x2", Type::F16X2}, {"bf16", Type::BF16}, {"bf16x2", Type::BF16X2}, {"f32", Type::F32}, {"f64", Type::F64},
    {"tf32", Type::TF32}};

std::optional<Space> spaceNamed(std::string_view word) {
  if (word == "global") return Space::GLOBAL;
  if (word == "const") return Space::CONST;
  if (word == "shared") return Space::SHARED;
  if (word == "local") return Space::LOCAL;
  if (word == "param") return Space::PARAM;
  return std::nullopt;
}

/// Names seen between one pair of braces.
struct Scope {
  std::unordered_map<std::string, unsigned> registers;
  struct Family {
    unsigned first;
    unsigned count;
  };
  std::unordered_map<std::string, Family> families;  ///< .reg .b32 %r<9>
  std::unordered_map<std::string, unsigned> variables;
  std::unordered_map<std::string, unsigned> labels;
  struct Use {
    std::string name;
    unsigned label;
    unsigned line;
  };
  std::vector<Use> uses;  ///< labels used here and not yet seen
};

class Parser {
 public:
  explicit Parser(std::string_view text) : lexer_(text) {}

  Module module() {
    while (lexer_.peek().kind != Token::END) statement();
    return std::move(module_);
  }

 private:
  void statement() {
    if (lexer_.acceptDirective("version")) {
      Token number = lexer_.next();
      std::string text(number.text);
      double value = std::atof(text.c_str());
      module_.version = static_cast<unsigned>(value * 10 + 0.5);
      if (module_.version < 10 || module_.version > 999) lexer_.fail("unknown .version '" + text + "'");
      return;
    }
    if (lexer_.acceptDirective("target")) {
      do {
        std::string word(lexer_.next().text);
        if (word.starts_with("sm_")) module_.target = static_cast<unsigned>(std::atoi(word.c_str() + 3));
      } while (lexer_.accept(","));
      if (module_.target == 0) lexer_.fail("no sm_NN in .target");
      return;
    }
    if (lexer_.acceptDirective("address_size")) {
      if (lexer_.next().value != 64) lexer_.fail("only 64-bit addresses are known");
      return;
    }
    if (lexer_.atDirective("file") || lexer_.atDirective("loc")) return restOfLine();
    if (lexer_.acceptDirective("section")) return skipBraces();
    if (lexer_.acceptDirective("pragma")) return skipTo(";");
    bool external = false;
    for (;;) {
      if (lexer_.acceptDirective("visible") || lexer_.acceptDirective("weak") || lexer_.acceptDirective("common")) continue;
      if (lexer_.acceptDirective("extern")) {
        external = true;
        continue;
      }
      break;
    }
    if (lexer_.acceptDirective("entry")) return function(true);
    if (lexer_.acceptDirective("func")) return function(false);
    if (lexer_.peek().kind == Token::DIRECTIVE) {
      if (auto space = spaceNamed(lexer_.peek().text)) {
        lexer_.next();
        for (Variable& variable : variables(*space, external)) module_.variables.push_back(std::move(variable));
        return;
      }
    }
    lexer_.fail("unknown directive '" + std::string(lexer_.peek().text) + "'");
  }

  void restOfLine() {
    unsigned line = lexer_.peek().line;
    while (lexer_.peek().kind != Token::END && lexer_.peek().line == line) lexer_.next();
  }

  void skipTo(std::string_view end) {
    while (!lexer_.accept(end)) {
      if (lexer_.peek().kind == Token::END) lexer_.fail("expected '" + std::string(end) + "'");
      lexer_.next();
    }
  }

  void skipBraces() {
    skipTo("{");
    for (unsigned depth = 1; depth > 0;) {
      if (lexer_.peek().kind == Token::END) lexer_.fail("section without an end");
      Token token = lexer_.next();
      if (token.text == "{") depth++;
      if (token.text == "}") depth--;
    }
  }

  // ---- variables -----------------------------------------------------------------------------------------------

  std::vector<Variable> variables(Space space, bool external) {
    std::vector<Variable> result;
    result.push_back(variable(space, external));
    while (lexer_.accept(",")) {
      Variable next = result.back();
      next.initial.clear();
      next.relocations.clear();
      declarator(next, bytesOf(next.type));
      result.push_back(std::move(next));
    }
    lexer_.expect(";");
    return result;
  }

  Variable variable(Space space, bool external) {
    Variable v{};
    v.space = space;
    v.external = external;
    unsigned vector = 1;
    for (;;) {
      if (lexer_.acceptDirective("align")) {
        v.alignment = static_cast<unsigned>(lexer_.next().value);
        if (!std::has_single_bit(v.alignment)) lexer_.fail("alignment is no power of two");
      } else if (lexer_.acceptDirective("attribute")) {
        skipTo(")");
      } else if (lexer_.acceptDirective("v2")) {
        vector = 2;
      } else if (lexer_.acceptDirective("v4")) {
        vector = 4;
      } else if (lexer_.acceptDirective("ptr")) {
        if (lexer_.peek().kind == Token::DIRECTIVE && spaceNamed(lexer_.peek().text)) lexer_.next();
        if (lexer_.acceptDirective("align")) lexer_.next();
      } else if (lexer_.peek().kind == Token::DIRECTIVE) {
        std::string word(lexer_.peek().text);
        v.type = typeNamed(word);
        if (v.type == Type::NONE) lexer_.fail("unknown type '." + word + "'");
        lexer_.next();
      } else {
        break;
      }
    }
    if (v.type == Type::NONE) lexer_.fail("variable without a type");
    if (v.alignment == 0) v.alignment = bytesOf(v.type) * vector;
    declarator(v, bytesOf(v.type) * vector);
    return v;
  }

  void declarator(Variable& v, std::uint64_t elementBytes) {
    Token name = lexer_.next();
    if (name.kind != Token::WORD) lexer_.fail("expected a name, found '" + std::string(name.text) + "'");
    v.name = name.text;
    v.line = name.line;
    std::uint64_t count = 1;
    while (lexer_.accept("[")) {
      if (lexer_.accept("]")) {
        count = 0;
        continue;
      }
      Token length = lexer_.next();
      if (length.kind != Token::INTEGER || length.value < 0 || length.value > (std::int64_t{1} << 40)) lexer_.fail("array length out of range");
      count *= static_cast<std::uint64_t>(length.value);
      if (count > (std::uint64_t{1} << 40)) lexer_.fail("array too large");
      lexer_.expect("]");
    }
    v.bytes = count * elementBytes;
    if (lexer_.accept("=")) {
      if (count != 0) v.initial.assign(v.bytes, 0);
      std::uint64_t at = 0;
      initialiser(v, at);
      if (count == 0) v.bytes = v.initial.size();
    }
  }

  void initialiser(Variable& v, std::uint64_t& at) {
    if (lexer_.accept("{")) {
      if (lexer_.accept("}")) return;
      do initialiser(v, at);
      while (lexer_.accept(","));
      lexer_.expect("}");
      return;
    }
    unsigned width = bytesOf(v.type);
    if (at + width > v.initial.size()) {
      if (v.bytes != 0) lexer_.fail("more initialisers than elements in " + v.name);
      v.initial.resize(at + width);
    }
    std::int64_t value = 0;
    if (lexer_.peek().kind == Token::WORD) {
      bool generic = false;
      std::string symbol(lexer_.next().text);
      if (symbol == "generic") {
        generic = true;
        lexer_.expect("(");
        symbol = lexer_.next().text;
        lexer_.expect(")");
      }
      std::int64_t addend = 0;
      if (lexer_.accept("+")) addend = lexer_.next().value;
      if (width != 8) lexer_.fail("an address needs eight bytes in " + v.name);
      v.relocations.push_back({at, symbol, addend, generic});
    } else {
      value = scalar(v.type);
    }
    std::memcpy(v.initial.data() + at, &value, width);
    at += width;
  }

  std::int64_t scalar(Type type) {
    bool negative = lexer_.accept("-");
    Token token = lexer_.next();
    if (token.kind == Token::INTEGER) {
      if (isFloat(type) && token.value != 0) lexer_.fail("integer where a float is declared");
      return negative ? -token.value : token.value;
    }
    if (token.kind == Token::FLOAT32 && type == Type::F32) return negative ? token.value ^ 0x80000000 : token.value;
    if (token.kind == Token::FLOAT64 && (type == Type::F32 || type == Type::F64)) {
      double value = std::bit_cast<double>(token.value);
      if (negative) value = -value;
      if (type == Type::F64) return std::bit_cast<std::int64_t>(value);
      return std::bit_cast<std::uint32_t>(static_cast<float>(value));
    }
    lexer_.fail("expected a constant, found '" + std::string(token.text) + "'");
  }

  // ---- functions -----------------------------------------------------------------------------------------------

  std::vector<Variable> parameterList() {
    std::vector<Variable> list;
    lexer_.expect("(");
    if (lexer_.accept(")")) return list;
    do {
      if (lexer_.acceptDirective("reg")) lexer_.fail("parameters in registers are not known");
      if (!lexer_.acceptDirective("param")) lexer_.fail("expected .param");
      list.push_back(variable(Space::PARAM, false));
    } while (lexer_.accept(","));
    lexer_.expect(")");
    return list;
  }

  void function(bool entry) {
    function_ = Function{};
    function_.entry = entry;
    if (!entry && lexer_.at("(")) function_.results = parameterList();
    Token name = lexer_.next();
    function_.name = name.text;
    function_.line = name.line;
    if (lexer_.at("(")) function_.parameters = parameterList();
    for (;;) {
      if (lexer_.acceptDirective("maxntid") || lexer_.acceptDirective("reqntid")) {
        unsigned threads = static_cast<unsigned>(lexer_.next().value);
        while (lexer_.accept(",")) threads *= static_cast<unsigned>(lexer_.next().value);
        function_.maxThreads = threads;
      } else if (lexer_.acceptDirective("minnctapersm") || lexer_.acceptDirective("maxnreg") || lexer_.acceptDirective("maxnctapersm")) {
        lexer_.next();
      } else if (!lexer_.acceptDirective("noreturn")) {
        break;
      }
    }
    scopes_.clear();
    scopes_.emplace_back();
    if (!entry) {
      for (const Variable& v : function_.parameters) declare(v);
      for (const Variable& v : function_.results) declare(v);
    }
    if (lexer_.at("{")) {
      lexer_.expect("{");
      body();
      function_.defined = true;
    } else {
      lexer_.expect(";");
    }
    auto same = std::find_if(module_.functions.begin(), module_.functions.end(), [&](const Function& f) { return f.name == function_.name; });
    if (same == module_.functions.end()) {
      module_.functions.push_back(std::move(function_));
    } else if (function_.defined) {
      if (same->defined) lexer_.fail("function " + function_.name + " is defined twice");
      *same = std::move(function_);
    }
  }

  void declare(const Variable& v) {
    scopes_.back().variables[v.name] = static_cast<unsigned>(function_.variables.size());
    function_.variables.push_back(v);
  }

  void body() {
    unsigned depth = 1;
    while (depth > 0) {
      if (lexer_.peek().kind == Token::END) lexer_.fail("function " + function_.name + " has no end");
      if (lexer_.accept("{")) {
        scopes_.emplace_back();
        depth++;
      } else if (lexer_.accept("}")) {
        closeScope();
        depth--;
      } else if (lexer_.accept(";")) {
        continue;
      } else if (lexer_.peek().kind == Token::DIRECTIVE) {
        directive();
      } else {
        instruction();
      }
    }
  }

  void closeScope() {
    Scope scope = std::move(scopes_.back());
    scopes_.pop_back();
    for (Scope::Use& use : scope.uses) {
      auto label = scope.labels.find(use.name);
      if (label != scope.labels.end()) {
        alias(use.label, label->second);
      } else if (!scopes_.empty()) {
        scopes_.back().uses.push_back(std::move(use));
      } else {
        throw PtxError(use.line, "label '" + use.name + "' is not defined in " + function_.name);
      }
    }
  }

  /// A use got a label number of its own, since its scope's labels were not all known.
  void alias(unsigned use, unsigned defined) {
    function_.labels[use] = function_.labels[defined];
    auto table = function_.tableOfLabel.find(defined);
    if (table != function_.tableOfLabel.end()) {
      unsigned index = table->second;
      function_.tableOfLabel[use] = index;
    }
  }

  void directive() {
    if (lexer_.acceptDirective("reg")) return registers();
    if (lexer_.atDirective("loc") || lexer_.atDirective("file")) return restOfLine();
    if (lexer_.acceptDirective("pragma")) return skipTo(";");
    if (lexer_.acceptDirective("section")) return skipBraces();
    if (auto space = spaceNamed(lexer_.peek().text)) {
      lexer_.next();
      for (Variable& v : variables(*space, false)) declare(v);
      return;
    }
    lexer_.fail("unknown directive '." + std::string(lexer_.peek().text) + "' in " + function_.name);
  }

  void registers() {
    Token type = lexer_.next();
    Type t = typeNamed(std::string(type.text));
    if (type.kind != Token::DIRECTIVE || t == Type::NONE || t == Type::B128) lexer_.fail("unknown register type '." + std::string(type.text) + "'");
    do {
      std::string name(lexer_.next().text);
      unsigned first = static_cast<unsigned>(function_.registers.size());
      if (lexer_.accept("<")) {
        std::int64_t count = lexer_.next().value;
        if (count < 0 || count > 1 << 20) lexer_.fail("too many registers " + name);
        lexer_.expect(">");
        scopes_.back().families[name] = {first, static_cast<unsigned>(count)};
        function_.registers.insert(function_.registers.end(), static_cast<std::size_t>(count), t);
      } else {
        scopes_.back().registers[name] = first;
        function_.registers.push_back(t);
      }
    } while (lexer_.accept(","));
    lexer_.expect(";");
  }

  std::optional<unsigned> registerNamed(const std::string& name) const {
    std::size_t stem = name.size();
    while (stem > 0 && std::isdigit(static_cast<unsigned char>(name[stem - 1]))) stem--;
    unsigned long number = stem < name.size() && name.size() - stem < 9 ? std::stoul(name.substr(stem)) : 0;
    for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
      auto single = scope->registers.find(name);
      if (single != scope->registers.end()) return single->second;
      if (stem == name.size()) continue;
      auto family = scope->families.find(name.substr(0, stem));
      if (family != scope->families.end() && number < family->second.count) return family->second.first + static_cast<unsigned>(number);
    }
    return std::nullopt;
  }

  unsigned newLabel() {
    function_.labels.push_back(~0u);
    return static_cast<unsigned>(function_.labels.size() - 1);
  }

  unsigned labelUse(const std::string& name, unsigned line) {
    unsigned label = newLabel();
    scopes_.back().uses.push_back({name, label, line});
    return label;
  }

  void instruction() {
    Token first = lexer_.next();
    Instruction in;
    in.line = first.line;
    if (first.text == "@") {
      in.guardNegated = lexer_.accept("!");
      std::string name(lexer_.next().text);
      auto index = registerNamed(name);
      if (!index || function_.registers[*index] != Type::PRED) lexer_.fail("'" + name + "' is no predicate register");
      in.guard = static_cast<int>(*index);
      first = lexer_.next();
    }
    if (first.kind != Token::WORD) throw PtxError(first.line, "expected an instruction, found '" + std::string(first.text) + "'");
    if (lexer_.accept(":")) {
      unsigned label = newLabel();
      function_.labels[label] = static_cast<unsigned>(function_.body.size());
      if (!scopes_.back().labels.emplace(std::string(first.text), label).second) lexer_.fail("label '" + std::string(first.text) + "' is defined twice");
      if (lexer_.acceptDirective("branchtargets")) branchTargets(label);
      return;
    }
    in.opcode = first.text;
    while (lexer_.peek().kind == Token::DIRECTIVE && !lexer_.peek().spaced) in.modifiers.emplace_back(lexer_.next().text);
    bool branch = in.opcode == "bra" || in.opcode == "brx";
    while (!lexer_.accept(";")) {
      in.operands.push_back(operand(branch));
      if (!lexer_.at(";")) lexer_.expect(",");
    }
    function_.body.push_back(std::move(in));
  }

  void branchTargets(unsigned label) {
    std::vector<unsigned> targets;
    do {
      Token name = lexer_.next();
      targets.push_back(labelUse(std::string(name.text), name.line));
    } while (lexer_.accept(","));
    lexer_.expect(";");
    function_.tableOfLabel[label] = static_cast<unsigned>(function_.branchTables.size());
    function_.branchTables.push_back(std::move(targets));
  }

  Operand operand(bool branch) {
    Operand result = primary(branch);
    if (lexer_.accept("|")) result.second.push_back(primary(false));
    return result;
  }

  Operand list(std::string_view end, bool branch) {
    Operand vector;
    vector.kind = Operand::VECTOR;
    while (!lexer_.accept(end)) {
      vector.elements.push_back(operand(branch));
      if (!lexer_.at(end)) lexer_.expect(",");
    }
    return vector;
  }

  Operand primary(bool branch) {
    Operand o;
    if (lexer_.accept("{")) return list("}", branch);
    if (lexer_.accept("(")) return list(")", branch);
    if (lexer_.accept("[")) {
      o.kind = Operand::ADDRESS;
      o.elements.push_back(primary(false));
      Operand& base = o.elements[0];
      o.integer = base.integer;
      if (base.kind == Operand::LOCAL || base.kind == Operand::SYMBOL) base.integer = 0;
      if (base.kind == Operand::REGISTER) o.integer = displacement();
      lexer_.expect("]");
      return o;
    }
    if (lexer_.accept("!")) {
      o = primary(false);
      o.negated = !o.negated;
      return o;
    }
    bool negative = lexer_.accept("-");
    Token token = lexer_.next();
    if (token.kind == Token::INTEGER) {
      o.kind = Operand::INTEGER;
      o.integer = negative ? -token.value : token.value;
      return o;
    }
    if (token.kind == Token::FLOAT32 || token.kind == Token::FLOAT64) {
      bool single = token.kind == Token::FLOAT32;
      o.kind = single ? Operand::FLOAT32 : Operand::FLOAT64;
      o.integer = token.value;
      if (negative) o.integer ^= single ? std::int64_t{0x80000000} : static_cast<std::int64_t>(std::uint64_t{1} << 63);
      return o;
    }
    if (token.kind != Token::WORD || negative) throw PtxError(token.line, "unexpected '" + std::string(token.text) + "'");
    std::string name(token.text);
    if (name == "_") return o;
    if (auto index = registerNamed(name)) {
      o.kind = Operand::REGISTER;
      o.index = *index;
      return o;
    }
    if (branch) {
      o.kind = Operand::LABEL;
      o.index = labelUse(name, token.line);
      o.name = name;
      return o;
    }
    for (auto scope = scopes_.rbegin(); scope != scopes_.rend(); ++scope) {
      auto variable = scope->variables.find(name);
      if (variable != scope->variables.end()) {
        o.kind = Operand::LOCAL;
        o.index = variable->second;
        o.name = name;
        o.integer = displacement();
        return o;
      }
    }
    o.kind = Operand::SYMBOL;
    if (name[0] == '%' && lexer_.peek().kind == Token::DIRECTIVE && !lexer_.peek().spaced) name += "." + std::string(lexer_.next().text);
    o.name = name;
    o.integer = displacement();
    return o;
  }

  std::int64_t displacement() {
    if (lexer_.accept("+")) {
      bool negative = lexer_.accept("-");
      Token token = lexer_.next();
      if (token.kind != Token::INTEGER) lexer_.fail("expected an offset");
      return negative ? -token.value : token.value;
    }
    if (lexer_.accept("-")) return -lexer_.next().value;
    return 0;
  }

  Lexer lexer_;
  Module module_;
  Function function_;
  std::vector<Scope> scopes_;
};
}  // namespace

Type typeNamed(const std::string& word) {
  auto found = TYPES.find(word);
  return found == TYPES.end() ? Type::NONE : found->second;
}

unsigned bytesOf(Type type) {
  switch (type) {
    case Type::U8: case Type::S8: case Type::B8: case Type::PRED: return 1;
    case Type::U16: case Type::S16: case Type::B16: case Type::F16: case Type::BF16: return 2;
    case Type::U32: case Type::S32: case Type::B32: case Type::F16X2: case Type::BF16X2: case Type::F32: case Type::TF32: return 4;
    case Type::U64: case Type::S64: case Type::B64: case Type::F64: return 8;
    case Type::B128: return 16;
    case Type::NONE: break;
  }
  return 0;
}

Module parse(std::string_view text) { return Parser(text).module(); }

std::string describe(const Instruction& in) {
  std::string text = in.opcode;
  for (const std::string& modifier : in.modifiers) text += "." + modifier;
  return text;
}

}  // namespace ptx
}  // namespace lacuna::emulator
