// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace lacuna::emulator::ptx {

struct Token {
  enum Kind : std::uint8_t { END, WORD, DIRECTIVE, INTEGER, FLOAT32, FLOAT64, STRING, PUNCTUATION };
  Kind kind = END;
  unsigned line = 1;
  std::string_view text;  ///< of a directive without its dot
  std::int64_t value = 0; ///< of numbers; the bits of floats
  bool spaced = false;    ///< blank space or the start of the text lies before it
};

/// Splits PTX into tokens, one ahead. A directive is a dot followed by a word, as in ".reg" and in "add.f32".
class Lexer {
 public:
  explicit Lexer(std::string_view text);
  const Token& peek() const { return token_; }
  Token next();
  bool at(std::string_view punctuationOrWord) const;
  bool atDirective(std::string_view name) const;
  bool accept(std::string_view punctuationOrWord);
  bool acceptDirective(std::string_view name);
  void expect(std::string_view punctuationOrWord);
  [[noreturn]] void fail(const std::string& what) const;

 private:
  void advance();
  void number();
  std::string_view text_;
  std::size_t at_ = 0;
  unsigned line_ = 1;
  Token token_;
};

}  // namespace lacuna::emulator::ptx
