// SPDX-License-Identifier: Apache-2.0
#include "lexer.h"

#include <bit>
#include <cctype>
#include <cstdlib>

#include "../machine.h"

namespace lacuna::emulator::ptx {

namespace {
bool wordStart(char c) { return std::isalpha(static_cast<unsigned char>(c)) || c == '_' || c == '$' || c == '%'; }
bool wordPart(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$'; }
}  // namespace

Lexer::Lexer(std::string_view text) : text_(text) { advance(); }

void Lexer::fail(const std::string& what) const { throw PtxError(token_.line, what); }

bool Lexer::at(std::string_view text) const {
  return (token_.kind == Token::PUNCTUATION || token_.kind == Token::WORD) && token_.text == text;
}

bool Lexer::atDirective(std::string_view name) const { return token_.kind == Token::DIRECTIVE && token_.text == name; }

bool Lexer::accept(std::string_view text) {
  if (!at(text)) return false;
  advance();
  return true;
}

bool Lexer::acceptDirective(std::string_view name) {
  if (!atDirective(name)) return false;
  advance();
  return true;
}

void Lexer::expect(std::string_view text) {
  if (!accept(text)) fail("expected '" + std::string(text) + "', found '" + std::string(token_.text) + "'");
}

Token Lexer::next() {
  Token token = token_;
  advance();
  return token;
}

void Lexer::advance() {
  bool spaced = at_ == 0;
  for (;;) {
    if (at_ >= text_.size()) {
      token_ = Token{Token::END, line_, "end of text", 0, true};
      return;
    }
    char c = text_[at_];
    if (c == '\n') line_++;
    if (std::isspace(static_cast<unsigned char>(c)) || c == '\0') {
      at_++;
    } else if (text_.substr(at_, 2) == "//") {
      while (at_ < text_.size() && text_[at_] != '\n') at_++;
    } else if (text_.substr(at_, 2) == "/*") {
      std::size_t end = text_.find("*/", at_ + 2);
      if (end == std::string_view::npos) throw PtxError(line_, "comment without an end");
      for (; at_ < end + 2; at_++) line_ += text_[at_] == '\n';
    } else {
      break;
    }
    spaced = true;
  }
  std::size_t start = at_;
  char c = text_[at_];
  token_ = Token{Token::PUNCTUATION, line_, {}, 0, spaced};
  if (wordStart(c)) {
    token_.kind = Token::WORD;
    at_++;
    while (at_ < text_.size() && wordPart(text_[at_])) at_++;
  } else if (std::isdigit(static_cast<unsigned char>(c))) {
    number();
  } else if (c == '.' && at_ + 1 < text_.size() && wordPart(text_[at_ + 1])) {
    token_.kind = Token::DIRECTIVE;
    at_++;
    start = at_;
    for (;;) {
      while (at_ < text_.size() && wordPart(text_[at_])) at_++;
      if (text_.substr(at_, 2) != "::") break;
      at_ += 2;
    }
  } else if (c == '"') {
    token_.kind = Token::STRING;
    at_++;
    while (at_ < text_.size() && text_[at_] != '"') at_++;
    if (at_ >= text_.size()) throw PtxError(line_, "string without an end");
    at_++;
  } else {
    at_++;
  }
  token_.text = text_.substr(start, at_ - start);
}

void Lexer::number() {
  const std::string rest(text_.substr(at_, 64));
  char second = rest.size() > 1 ? rest[1] : ' ';
  if (rest[0] == '0' && (second == 'f' || second == 'F' || second == 'd' || second == 'D')) {
    bool single = second == 'f' || second == 'F';
    std::size_t digits = 2;
    while (digits < rest.size() && std::isxdigit(static_cast<unsigned char>(rest[digits]))) digits++;
    if (digits != (single ? 10u : 18u)) throw PtxError(line_, "malformed float '" + rest.substr(0, digits) + "'");
    token_.kind = single ? Token::FLOAT32 : Token::FLOAT64;
    token_.value = static_cast<std::int64_t>(std::strtoull(rest.substr(2, digits - 2).c_str(), nullptr, 16));
    at_ += digits;
    return;
  }
  std::size_t end = 0;
  bool hex = rest[0] == '0' && (second == 'x' || second == 'X');
  if (!hex) {
    while (end < rest.size() && std::isdigit(static_cast<unsigned char>(rest[end]))) end++;
    if (end < rest.size() && (rest[end] == '.' || rest[end] == 'e' || rest[end] == 'E')) {
      char* stop = nullptr;
      double value = std::strtod(rest.c_str(), &stop);
      token_.kind = Token::FLOAT64;
      token_.value = std::bit_cast<std::int64_t>(value);
      at_ += static_cast<std::size_t>(stop - rest.c_str());
      return;
    }
  }
  char* stop = nullptr;
  bool binary = rest[0] == '0' && (second == 'b' || second == 'B');
  token_.kind = Token::INTEGER;
  token_.value = static_cast<std::int64_t>(binary ? std::strtoull(rest.c_str() + 2, &stop, 2) : std::strtoull(rest.c_str(), &stop, 0));
  at_ += static_cast<std::size_t>(stop - rest.c_str());
  if (at_ < text_.size() && text_[at_] == 'U') at_++;
}

}  // namespace lacuna::emulator::ptx
