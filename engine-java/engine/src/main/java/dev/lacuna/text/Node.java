package dev.lacuna.text;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** The syntax tree of a chat template. Chains are lists, so that the tree is only as deep as the source is nested. */
sealed interface Node {
    int line();

    record Text(String text, int line) implements Node {}

    record Output(Expr value, int line) implements Node {}

    record Branch(Expr test, List<Node> body) {}

    record If(List<Branch> branches, List<Node> otherwise, int line) implements Node {}

    record For(List<String> targets, Expr items, @Nullable Expr filter, List<Node> body, List<Node> otherwise, int line) implements Node {}

    record Set(List<String> targets, Expr value, int line) implements Node {}

    record SetAttribute(String namespace, String attribute, Expr value, int line) implements Node {}

    record SetBlock(String target, List<Node> body, int line) implements Node {}

    record Macro(String name, List<String> parameters, List<@Nullable Expr> defaults, List<Node> body, int line) implements Node {}

    /** A call whose body the macro renders with {@code caller()}. */
    record CallBlock(Access call, Macro caller, int line) implements Node {}

    record FilterBlock(List<Filter> filters, List<Node> body, int line) implements Node {}

    record Group(List<Node> body, int line) implements Node {}

    record Jump(boolean leave, int line) implements Node {}

    /** An expression. */
    sealed interface Expr {
        int line();
    }

    record Literal(@Nullable Object value, int line) implements Expr {}

    record Name(String name, int line) implements Expr {}

    record ListOf(List<Expr> items, int line) implements Expr {}

    record DictOf(List<Expr> keys, List<Expr> values, int line) implements Expr {}

    record Unary(String operator, Expr operand, int line) implements Expr {}

    record Link(String operator, Expr operand) {}

    /** Left-associative arithmetic and concatenation. */
    record Chain(Expr first, List<Link> links, int line) implements Expr {}

    /** {@code a < b < c}, as Python reads it. */
    record Comparison(Expr first, List<Link> links, int line) implements Expr {}

    record Logic(boolean and, List<Expr> operands, int line) implements Expr {}

    record Choice(Expr test, Expr yes, @Nullable Expr no, int line) implements Expr {}

    record Access(Expr base, List<Suffix> suffixes, int line) implements Expr {}

    record Arguments(List<Expr> positional, Map<String, Expr> named) {}

    /** What follows an operand. */
    sealed interface Suffix {}

    record Attribute(String name) implements Suffix {}

    record Index(Expr key) implements Suffix {}

    record Slice(@Nullable Expr from, @Nullable Expr to, @Nullable Expr step) implements Suffix {}

    record Call(Arguments arguments) implements Suffix {}

    record Filter(String name, Arguments arguments) implements Suffix {}

    record Test(String name, Arguments arguments, boolean negated) implements Suffix {}
}
