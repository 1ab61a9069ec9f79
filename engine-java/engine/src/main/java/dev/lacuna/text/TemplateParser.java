package dev.lacuna.text;

import dev.lacuna.text.TemplateLexer.Kind;
import dev.lacuna.text.TemplateLexer.Token;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/** Recursive descent over a template's tokens, at most {@value #DEEPEST} levels. Precedence is Jinja's. */
final class TemplateParser {
    static final int DEEPEST = 64;
    private static final Set<String> COMPARISONS = Set.of("==", "!=", "<", "<=", ">", ">=");
    private static final Set<String> NO_TEST_ARGUMENT = Set.of("and", "or", "else", "is", "if", "in", "not");
    private final List<Token> tokens;
    private int at;
    private int depth;
    private int loops;

    private TemplateParser(List<Token> tokens) {
        this.tokens = tokens;
    }

    static List<Node> parse(String source) {
        TemplateParser parser = new TemplateParser(TemplateLexer.tokens(source));
        List<Node> nodes = parser.nodes(Set.of());
        return nodes;
    }

    private Token peek() {
        return tokens.get(at);
    }

    private Token take() {
        Token token = tokens.get(at);
        if (token.kind() != Kind.END) {
            at++;
        }
        return token;
    }

    private boolean nextIs(String operator) {
        return peek().is(Kind.OPERATOR, operator);
    }

    private boolean nextIsName(String name) {
        return peek().is(Kind.NAME, name);
    }

    private boolean accept(String operator) {
        if (nextIs(operator)) {
            at++;
            return true;
        }
        return false;
    }

    private boolean acceptName(String name) {
        if (nextIsName(name)) {
            at++;
            return true;
        }
        return false;
    }

    private void expect(String operator) {
        if (!accept(operator)) {
            throw unexpected("'" + operator + "'");
        }
    }

    private Token expect(Kind kind, String wanted) {
        if (peek().kind() != kind) {
            throw unexpected(wanted);
        }
        return take();
    }

    private String name() {
        return expect(Kind.NAME, "a name").text();
    }

    private TemplateException unexpected(String wanted) {
        Token token = peek();
        String found = token.text().isEmpty() ? token.kind().name() : token.text();
        return new TemplateException("expected " + wanted + ", found '" + (found.length() > 40 ? found.substring(0, 40) : found) + "'",
                token.line());
    }

    private void enter() {
        if (++depth > DEEPEST) {
            throw new TemplateException("nested deeper than " + DEEPEST + " levels", peek().line());
        }
    }

    /** Nodes up to one of the tags, which is left to be read from its name on; up to the end when there are none. */
    private List<Node> nodes(Set<String> ends) {
        enter();
        List<Node> nodes = new ArrayList<>();
        while (true) {
            Token token = take();
            switch (token.kind()) {
                case TEXT -> nodes.add(new Node.Text(token.text(), token.line()));
                case OUTPUT -> {
                    nodes.add(new Node.Output(tuple(), token.line()));
                    expect(Kind.END_OUTPUT, "'}}'");
                }
                case TAG -> {
                    if (peek().kind() == Kind.NAME && ends.contains(peek().text())) {
                        depth--;
                        return nodes;
                    }
                    nodes.add(statement());
                }
                default -> {
                    if (!ends.isEmpty()) {
                        throw new TemplateException("expected one of the tags " + ends + ", found the end of the template", token.line());
                    }
                    depth--;
                    return nodes;
                }
            }
        }
    }

    private List<Node> body(String... ends) {
        expect(Kind.END_TAG, "'%}'");
        return nodes(Set.of(ends));
    }

    private Node statement() {
        Token tag = expect(Kind.NAME, "the name of a tag");
        int line = tag.line();
        Node node = switch (tag.text()) {
            case "if" -> parseIf(line);
            case "for" -> parseFor(line);
            case "set" -> parseSet(line);
            case "macro" -> parseMacro(line);
            case "call" -> parseCall(line);
            case "filter" -> parseFilter(line);
            case "generation" -> {
                List<Node> body = body("endgeneration");
                at++;
                yield new Node.Group(body, line);
            }
            case "break", "continue" -> {
                if (loops == 0) {
                    throw new TemplateException(tag.text() + " outside a loop", line);
                }
                yield new Node.Jump(tag.text().equals("break"), line);
            }
            default -> throw new TemplateException(
                    "tag '" + tag.text()
                            + "' is not supported here; for, if, set, macro, call, filter, generation, raw, break and continue are",
                    line);
        };
        expect(Kind.END_TAG, "'%}'");
        return node;
    }

    private Node parseIf(int line) {
        List<Node.Branch> branches = new ArrayList<>();
        List<Node> otherwise = List.of();
        Node.Expr test = expression();
        while (true) {
            branches.add(new Node.Branch(test, body("elif", "else", "endif")));
            if (acceptName("elif")) {
                test = expression();
                continue;
            }
            if (acceptName("else")) {
                otherwise = body("endif");
            }
            at++;
            return new Node.If(branches, otherwise, line);
        }
    }

    private Node parseFor(int line) {
        List<String> targets = targets();
        if (!acceptName("in")) {
            throw unexpected("'in'");
        }
        Node.Expr items = or();
        Node.Expr filter = acceptName("if") ? expression() : null;
        loops++;
        List<Node> body = body("else", "endfor");
        loops--;
        List<Node> otherwise = acceptName("else") ? body("endfor") : List.of();
        at++;
        return new Node.For(targets, items, filter, body, otherwise, line);
    }

    private List<String> targets() {
        boolean closed = accept("(");
        List<String> targets = new ArrayList<>(List.of(name()));
        while (accept(",")) {
            targets.add(name());
        }
        if (closed) {
            expect(")");
        }
        return targets;
    }

    private Node parseSet(int line) {
        if (tokens.get(at + 1).is(Kind.OPERATOR, ".")) {
            String namespace = name();
            at++;
            String attribute = name();
            expect("=");
            return new Node.SetAttribute(namespace, attribute, tuple(), line);
        }
        List<String> targets = targets();
        if (accept("=")) {
            return new Node.Set(targets, tuple(), line);
        }
        if (targets.size() > 1) {
            throw unexpected("'='");
        }
        List<Node> body = body("endset");
        at++;
        return new Node.SetBlock(targets.getFirst(), body, line);
    }

    private Node parseMacro(int line) {
        String name = name();
        expect("(");
        return macro(name, "endmacro", line);
    }

    /** A macro from its parameters on, with the bracket before them taken. */
    private Node.Macro macro(String name, String end, int line) {
        List<String> parameters = new ArrayList<>();
        List<Node.@Nullable Expr> defaults = new ArrayList<>();
        parameters(parameters, defaults);
        return new Node.Macro(name, parameters, defaults, apart(end), line);
    }

    private void parameters(List<String> parameters, List<Node.@Nullable Expr> defaults) {
        while (!accept(")")) {
            if (!parameters.isEmpty()) {
                expect(",");
            }
            parameters.add(name());
            defaults.add(accept("=") ? expression() : null);
        }
    }

    /** A body that cannot leave the loop around it. */
    private List<Node> apart(String end) {
        int outer = loops;
        loops = 0;
        List<Node> body = body(end);
        loops = outer;
        at++;
        return body;
    }

    private Node parseCall(int line) {
        List<String> parameters = new ArrayList<>();
        List<Node.@Nullable Expr> defaults = new ArrayList<>();
        if (accept("(")) {
            parameters(parameters, defaults);
        }
        if (!(expression() instanceof Node.Access access) || !(access.suffixes().getLast() instanceof Node.Call)) {
            throw unexpected("a call of a macro");
        }
        return new Node.CallBlock(access, new Node.Macro("caller", parameters, defaults, apart("endcall"), line), line);
    }

    private Node parseFilter(int line) {
        List<Node.Filter> filters = new ArrayList<>();
        do {
            String name = name();
            filters.add(new Node.Filter(name, accept("(") ? arguments() : none()));
        } while (accept("|"));
        return new Node.FilterBlock(filters, apart("endfilter"), line);
    }

    /** An expression, or several with commas between them. */
    private Node.Expr tuple() {
        int line = peek().line();
        Node.Expr first = expression();
        if (!nextIs(",")) {
            return first;
        }
        List<Node.Expr> items = new ArrayList<>(List.of(first));
        while (accept(",")) {
            if (peek().kind() == Kind.END_OUTPUT || peek().kind() == Kind.END_TAG) {
                break;
            }
            items.add(expression());
        }
        return new Node.ListOf(items, line);
    }

    private Node.Expr expression() {
        enter();
        int line = peek().line();
        Node.Expr value = or();
        if (acceptName("if")) {
            Node.Expr test = or();
            value = new Node.Choice(test, value, acceptName("else") ? expression() : null, line);
        }
        depth--;
        return value;
    }

    private Node.Expr or() {
        return logic(false);
    }

    private Node.Expr logic(boolean and) {
        int line = peek().line();
        Node.Expr first = and ? not() : logic(true);
        if (!nextIsName(and ? "and" : "or")) {
            return first;
        }
        List<Node.Expr> operands = new ArrayList<>(List.of(first));
        while (acceptName(and ? "and" : "or")) {
            operands.add(and ? not() : logic(true));
        }
        return new Node.Logic(and, operands, line);
    }

    private Node.Expr not() {
        int line = peek().line();
        if (!acceptName("not")) {
            return comparison();
        }
        enter();
        Node.Expr operand = not();
        depth--;
        return new Node.Unary("not", operand, line);
    }

    private Node.Expr comparison() {
        int line = peek().line();
        Node.Expr first = sum();
        List<Node.Link> links = new ArrayList<>();
        while (true) {
            if (peek().kind() == Kind.OPERATOR && COMPARISONS.contains(peek().text())) {
                links.add(new Node.Link(take().text(), sum()));
            } else if (acceptName("in")) {
                links.add(new Node.Link("in", sum()));
            } else if (nextIsName("not") && tokens.get(at + 1).is(Kind.NAME, "in")) {
                at += 2;
                links.add(new Node.Link("not in", sum()));
            } else {
                return links.isEmpty() ? first : new Node.Comparison(first, links, line);
            }
        }
    }

    private Node.Expr sum() {
        int line = peek().line();
        return chain(joined(), line, 0, "+", "-");
    }

    private Node.Expr joined() {
        int line = peek().line();
        return chain(product(), line, 1, "~");
    }

    private Node.Expr product() {
        int line = peek().line();
        return chain(power(), line, 2, "*", "/", "//", "%");
    }

    private Node.Expr power() {
        int line = peek().line();
        return chain(unary(), line, 3, "**");
    }

    private Node.Expr chain(Node.Expr first, int line, int level, String... operators) {
        Set<String> set = Set.of(operators);
        if (peek().kind() != Kind.OPERATOR || !set.contains(peek().text())) {
            return first;
        }
        List<Node.Link> links = new ArrayList<>();
        while (peek().kind() == Kind.OPERATOR && set.contains(peek().text())) {
            String operator = take().text();
            links.add(new Node.Link(operator, switch (level) {
                case 0 -> joined();
                case 1 -> product();
                case 2 -> power();
                default -> unary();
            }));
        }
        return new Node.Chain(first, links, line);
    }

    private Node.Expr unary() {
        return suffixed(signed(), true);
    }

    private Node.Expr signed() {
        Token token = peek();
        if (accept("-") || accept("+")) {
            enter();
            Node.Expr operand = suffixed(signed(), false);
            depth--;
            return new Node.Unary(token.text(), operand, token.line());
        }
        return primary();
    }

    private Node.Expr primary() {
        Token token = take();
        int line = token.line();
        return switch (token.kind()) {
            case STRING -> {
                StringBuilder text = new StringBuilder(token.text());
                while (peek().kind() == Kind.STRING) {
                    text.append(take().text());
                }
                yield new Node.Literal(text.toString(), line);
            }
            case INTEGER, REAL -> new Node.Literal(number(token), line);
            case NAME -> switch (token.text()) {
                case "true", "True" -> new Node.Literal(true, line);
                case "false", "False" -> new Node.Literal(false, line);
                case "none", "None" -> new Node.Literal(null, line);
                default -> new Node.Name(token.text(), line);
            };
            case OPERATOR -> switch (token.text()) {
                case "(" -> parenthesis(line);
                case "[" -> new Node.ListOf(items("]"), line);
                case "{" -> dict(line);
                default -> {
                    at--;
                    throw unexpected("a value");
                }
            };
            default -> {
                at -= token.kind() == Kind.END ? 0 : 1;
                throw unexpected("a value");
            }
        };
    }

    private static Object number(Token token) {
        String digits = token.text().replace("_", "");
        try {
            return token.kind() == Kind.REAL ? (Object) Double.valueOf(digits) : Long.valueOf(digits);
        } catch (NumberFormatException tooLarge) {
            throw new TemplateException("the number " + digits.substring(0, Math.min(40, digits.length())) + " is out of range",
                    token.line());
        }
    }

    private Node.Expr parenthesis(int line) {
        if (accept(")")) {
            return new Node.ListOf(List.of(), line);
        }
        Node.Expr first = expression();
        if (accept(")")) {
            return first;
        }
        expect(",");
        List<Node.Expr> items = new ArrayList<>(List.of(first));
        items.addAll(items(")"));
        return new Node.ListOf(items, line);
    }

    private List<Node.Expr> items(String end) {
        List<Node.Expr> items = new ArrayList<>();
        while (!accept(end)) {
            items.add(expression());
            if (!nextIs(end)) {
                expect(",");
            }
        }
        return items;
    }

    private Node.Expr dict(int line) {
        List<Node.Expr> keys = new ArrayList<>();
        List<Node.Expr> values = new ArrayList<>();
        while (!accept("}")) {
            keys.add(expression());
            expect(":");
            values.add(expression());
            if (!nextIs("}")) {
                expect(",");
            }
        }
        return new Node.DictOf(keys, values, line);
    }

    private Node.Expr suffixed(Node.Expr base, boolean filters) {
        int line = base.line();
        List<Node.Suffix> suffixes = new ArrayList<>();
        while (true) {
            if (accept(".")) {
                Token token = take();
                if (token.kind() == Kind.NAME) {
                    suffixes.add(new Node.Attribute(token.text()));
                } else if (token.kind() == Kind.INTEGER) {
                    suffixes.add(new Node.Index(new Node.Literal(number(token), line)));
                } else {
                    throw new TemplateException("expected a name after '.'", token.line());
                }
            } else if (accept("[")) {
                suffixes.add(subscript());
            } else if (accept("(")) {
                suffixes.add(new Node.Call(arguments()));
            } else if (filters && accept("|")) {
                String name = name();
                suffixes.add(new Node.Filter(name, accept("(") ? arguments() : none()));
            } else if (filters && acceptName("is")) {
                boolean negated = acceptName("not");
                String name = name();
                suffixes.add(new Node.Test(name, testArguments(), negated));
            } else {
                return suffixes.isEmpty() ? base : new Node.Access(base, suffixes, line);
            }
        }
    }

    private static Node.Arguments none() {
        return new Node.Arguments(List.of(), Map.of());
    }

    private Node.Arguments testArguments() {
        if (accept("(")) {
            return arguments();
        }
        Token token = peek();
        boolean value = switch (token.kind()) {
            case NAME -> !NO_TEST_ARGUMENT.contains(token.text());
            case STRING, INTEGER, REAL -> true;
            case OPERATOR -> token.text().equals("[") || token.text().equals("{");
            default -> false;
        };
        if (!value) {
            return none();
        }
        enter();
        Node.Expr argument = suffixed(primary(), false);
        depth--;
        return new Node.Arguments(List.of(argument), Map.of());
    }

    private Node.Suffix subscript() {
        Node.Expr from = nextIs(":") ? null : expression();
        if (from != null && accept("]")) {
            return new Node.Index(from);
        }
        expect(":");
        Node.Expr to = nextIs(":") || nextIs("]") ? null : expression();
        Node.Expr step = accept(":") && !nextIs("]") ? expression() : null;
        expect("]");
        return new Node.Slice(from, to, step);
    }

    private Node.Arguments arguments() {
        List<Node.Expr> positional = new ArrayList<>();
        Map<String, Node.Expr> named = new LinkedHashMap<>();
        while (!accept(")")) {
            if (peek().kind() == Kind.NAME && tokens.get(at + 1).is(Kind.OPERATOR, "=")) {
                String name = name();
                at++;
                if (named.put(name, expression()) != null) {
                    throw new TemplateException("argument '" + name + "' is given twice", peek().line());
                }
            } else if (named.isEmpty()) {
                positional.add(expression());
            } else {
                throw new TemplateException("a positional argument after a named one", peek().line());
            }
            if (!nextIs(")")) {
                expect(",");
            }
        }
        return new Node.Arguments(positional, named);
    }
}
