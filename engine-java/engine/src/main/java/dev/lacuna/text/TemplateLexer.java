package dev.lacuna.text;

import java.util.ArrayList;
import java.util.List;

/** Cuts a template into tokens, with trim_blocks and lstrip_blocks set and one newline at the end dropped, as Hugging Face does. */
final class TemplateLexer {
    enum Kind {
        TEXT, OUTPUT, END_OUTPUT, TAG, END_TAG, NAME, STRING, INTEGER, REAL, OPERATOR, END
    }

    record Token(Kind kind, String text, int line) {
        boolean is(Kind wanted, String value) {
            return kind == wanted && text.equals(value);
        }
    }

    private static final String[] OPERATORS = {"**", "//", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "~", "<", ">", "=", "(", ")",
            "[", "]", "{",
            "}", ".", ",", ":", "|"};

    private final String source;
    private final List<Token> tokens = new ArrayList<>();
    private int at;
    private int line = 1;

    private TemplateLexer(String source) {
        this.source = source;
    }

    static List<Token> tokens(String source) {
        String unix = source.replace("\r\n", "\n").replace('\r', '\n');
        TemplateLexer lexer = new TemplateLexer(unix.endsWith("\n") ? unix.substring(0, unix.length() - 1) : unix);
        lexer.run();
        return lexer.tokens;
    }

    private void run() {
        boolean stripNext = false;
        while (at < source.length()) {
            int open = nextOpen(at);
            String text = source.substring(at, open);
            int textLine = line;
            boolean lineStart = at == 0 || source.charAt(at - 1) == '\n';
            if (open < source.length()) {
                char kind = source.charAt(open + 1);
                char mark = open + 2 < source.length() ? source.charAt(open + 2) : ' ';
                if (mark == '-') {
                    text = text.stripTrailing();
                } else if (kind != '{' && mark != '+') {
                    text = withoutIndent(text, lineStart);
                }
            }
            if (stripNext) {
                text = text.stripLeading();
                stripNext = false;
            }
            if (!text.isEmpty()) {
                tokens.add(new Token(Kind.TEXT, text, textLine));
            }
            moveTo(open);
            if (open < source.length()) {
                stripNext = switch (source.charAt(open + 1)) {
                    case '#' -> comment();
                    case '%' -> tag();
                    default -> output();
                };
            }
        }
        tokens.add(new Token(Kind.END, "end of template", line));
    }

    private int nextOpen(int from) {
        for (int i = source.indexOf('{', from); i >= 0 && i + 1 < source.length(); i = source.indexOf('{', i + 1)) {
            char c = source.charAt(i + 1);
            if (c == '{' || c == '%' || c == '#') {
                return i;
            }
        }
        return source.length();
    }

    private static String withoutIndent(String text, boolean lineStart) {
        int begin = text.length();
        while (begin > 0 && text.charAt(begin - 1) != '\n') {
            if (!Character.isWhitespace(text.charAt(begin - 1))) {
                return text;
            }
            begin--;
        }
        return begin > 0 || lineStart ? text.substring(0, begin) : text;
    }

    private void moveTo(int to) {
        for (; at < to; at++) {
            if (source.charAt(at) == '\n') {
                line++;
            }
        }
    }

    private boolean comment() {
        int end = source.indexOf("#}", at + 2);
        if (end < 0) {
            throw new TemplateException("comment without end", line);
        }
        boolean strip = end > at + 2 && source.charAt(end - 1) == '-';
        moveTo(end + 2);
        trimNewline(strip);
        return strip;
    }

    private void trimNewline(boolean strip) {
        if (!strip && at < source.length() && source.charAt(at) == '\n') {
            moveTo(at + 1);
        }
    }

    private boolean tag() {
        int first = tokens.size();
        boolean strip = inside(Kind.TAG, Kind.END_TAG, '%');
        if (tokens.size() == first + 3 && tokens.get(first + 1).is(Kind.NAME, "raw")) {
            tokens.subList(first, tokens.size()).clear();
            return raw(strip);
        }
        return strip;
    }

    private boolean raw(boolean strip) {
        for (int open = source.indexOf("{%", at); open >= 0; open = source.indexOf("{%", open + 2)) {
            char first = mark(open + 2);
            int name = skipSpace(open + (first == ' ' ? 2 : 3));
            if (!source.startsWith("endraw", name)) {
                continue;
            }
            int close = skipSpace(name + "endraw".length());
            char last = mark(close);
            close += last == ' ' ? 0 : 1;
            if (source.startsWith("%}", close)) {
                String text = source.substring(at, open);
                boolean lineStart = source.charAt(at - 1) == '\n';
                text = first == '-' ? text.stripTrailing() : first == '+' ? text : withoutIndent(text, lineStart);
                text = strip ? text.stripLeading() : text;
                if (!text.isEmpty()) {
                    tokens.add(new Token(Kind.TEXT, text, line));
                }
                moveTo(close + 2);
                trimNewline(last != ' ');
                return last == '-';
            }
        }
        throw new TemplateException("raw without endraw", line);
    }

    /** The sign at a place that keeps or strips white space, a space where there is none. */
    private char mark(int place) {
        char c = place < source.length() ? source.charAt(place) : ' ';
        return c == '-' || c == '+' ? c : ' ';
    }

    private int skipSpace(int from) {
        int to = from;
        while (to < source.length() && Character.isWhitespace(source.charAt(to))) {
            to++;
        }
        return to;
    }

    private boolean output() {
        return inside(Kind.OUTPUT, Kind.END_OUTPUT, '}');
    }

    /** The tokens of one tag; returns whether white space after it goes. */
    private boolean inside(Kind begin, Kind end, char closer) {
        tokens.add(new Token(begin, "", line));
        moveTo(at + 2);
        if (at < source.length() && (source.charAt(at) == '-' || source.charAt(at) == '+')) {
            moveTo(at + 1);
        }
        for (int open = 0; at < source.length();) {
            char c = source.charAt(at);
            if (Character.isWhitespace(c)) {
                moveTo(at + 1);
                continue;
            }
            if (open == 0) {
                int mark = c == '-' || c == '+' ? 1 : 0;
                if (source.startsWith(closer + "}", at + mark)) {
                    boolean strip = c == '-';
                    tokens.add(new Token(end, source.substring(at, at + mark + 2), line));
                    moveTo(at + mark + 2);
                    if (end == Kind.END_TAG) {
                        trimNewline(mark == 1);
                    }
                    return strip;
                }
            }
            if (c == '\'' || c == '"') {
                string(c);
            } else if (c >= '0' && c <= '9') {
                number();
            } else if (Character.isLetter(c) || c == '_') {
                int to = at;
                while (to < source.length() && (Character.isLetterOrDigit(source.charAt(to)) || source.charAt(to) == '_')) {
                    to++;
                }
                add(Kind.NAME, to);
            } else {
                String operator = operator();
                switch (operator) {
                    case "(", "[", "{" -> open++;
                    case ")", "]", "}" -> open--;
                    default -> {
                    }
                }
                add(Kind.OPERATOR, at + operator.length());
            }
        }
        throw new TemplateException("a tag is not closed", line);
    }

    private void add(Kind kind, int to) {
        tokens.add(new Token(kind, source.substring(at, to), line));
        moveTo(to);
    }

    private String operator() {
        for (String operator : OPERATORS) {
            if (source.startsWith(operator, at)) {
                return operator;
            }
        }
        throw new TemplateException("unexpected character '" + source.substring(at, source.offsetByCodePoints(at, 1)) + "'", line);
    }

    private void number() {
        int to = digits(at);
        boolean real = false;
        if (to + 1 < source.length() && source.charAt(to) == '.' && isDigit(source.charAt(to + 1))) {
            real = true;
            to = digits(to + 1);
        }
        if (to < source.length() && (source.charAt(to) == 'e' || source.charAt(to) == 'E')) {
            int exponent = to + 1;
            if (exponent < source.length() && (source.charAt(exponent) == '-' || source.charAt(exponent) == '+')) {
                exponent++;
            }
            if (exponent < source.length() && isDigit(source.charAt(exponent))) {
                real = true;
                to = digits(exponent);
            }
        }
        add(real ? Kind.REAL : Kind.INTEGER, to);
    }

    private int digits(int from) {
        int to = from;
        while (to < source.length() && (isDigit(source.charAt(to)) || source.charAt(to) == '_')) {
            to++;
        }
        return to;
    }

    private static boolean isDigit(char c) {
        return c >= '0' && c <= '9';
    }

    private void string(char quote) {
        StringBuilder text = new StringBuilder();
        int begin = line;
        for (int i = at + 1; i < source.length(); i++) {
            char c = source.charAt(i);
            if (c == quote) {
                tokens.add(new Token(Kind.STRING, text.toString(), begin));
                moveTo(i + 1);
                return;
            }
            if (c != '\\' || i + 1 == source.length()) {
                text.append(c);
                continue;
            }
            char escaped = source.charAt(++i);
            switch (escaped) {
                case 'n' -> text.append('\n');
                case 't' -> text.append('\t');
                case 'r' -> text.append('\r');
                case 'b' -> text.append('\b');
                case 'f' -> text.append('\f');
                case 'v' -> text.append('\u000B');
                case '\\', '\'', '"' -> text.append(escaped);
                case 'x' -> i = hexadecimal(i, 2, text);
                case 'u' -> i = hexadecimal(i, 4, text);
                default -> text.append('\\').append(escaped);
            }
        }
        throw new TemplateException("a string is not closed", begin);
    }

    private int hexadecimal(int at, int digits, StringBuilder text) {
        int value = 0;
        for (int i = 1; i <= digits; i++) {
            int digit = at + i < source.length() ? Character.digit(source.charAt(at + i), 16) : -1;
            if (digit < 0) {
                throw new TemplateException("\\" + source.charAt(at) + " needs " + digits + " hexadecimal digits", line);
            }
            value = value << 4 | digit;
        }
        text.append((char) value);
        return at + digits;
    }
}
