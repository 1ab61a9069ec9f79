package dev.lacuna.text;

import java.time.LocalDateTime;
import java.time.ZoneId;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Walks a template's tree once. Every statement, turn of a loop and call is a step of the budget, and every evaluation is counted in its depth. */
final class Renderer {
    private enum Signal {
        GO_ON, NEXT_TURN, LEAVE_LOOP
    }

    private final Budget budget = new Budget();
    private final Values values = new Values(budget);
    private final Methods methods = new Methods(budget, values);
    private final Filters filters = new Filters(budget, values, methods);
    private final Operators operators = new Operators(budget, values);
    private final @Nullable LocalDateTime now;
    private int calls;
    private int loops;

    /** With null it is the time when a template asks: to read the zones takes as long as to render. */
    Renderer(@Nullable LocalDateTime now) {
        this.now = now;
    }

    String render(List<Node> template, Map<String, ?> variables) {
        Scope scope = new Scope(null);
        for (String name : List.of("range", "namespace", "raise_exception", "strftime_now", "dict")) {
            scope.set(name, new TemplateValue.Function(name));
        }
        variables.forEach((name, value) -> scope.set(name, values.copy(value, 0)));
        StringBuilder out = new StringBuilder();
        try {
            run(template, scope, out);
        } catch (ArithmeticException overflow) {
            throw budget.fail("a number is out of range");
        }
        return out.toString();
    }

    private void print(String text, StringBuilder out) {
        budget.work(text.length());
        append(text, out);
    }

    private void append(String text, StringBuilder out) {
        if (text.length() > Budget.TEXT - out.length()) {
            throw budget.fail("more than " + Budget.TEXT + " characters of output");
        }
        out.append(text);
    }

    private Signal run(List<Node> nodes, Scope scope, StringBuilder out) {
        budget.enter();
        for (Node node : nodes) {
            budget.line = node.line();
            budget.step();
            Signal signal = run(node, scope, out);
            if (signal != Signal.GO_ON) {
                budget.leave();
                return signal;
            }
        }
        budget.leave();
        return Signal.GO_ON;
    }

    private Signal run(Node node, Scope scope, StringBuilder out) {
        switch (node) {
            case Node.Text text -> {
                budget.literal(text.text().length());
                append(text.text(), out);
            }
            case Node.Output output -> print(values.text(evaluate(output.value(), scope)), out);
            case Node.If branches -> {
                for (Node.Branch branch : branches.branches()) {
                    if (Values.truth(evaluate(branch.test(), scope))) {
                        return run(branch.body(), scope, out);
                    }
                }
                return run(branches.otherwise(), scope, out);
            }
            case Node.For loop -> {
                return loop(loop, scope, out);
            }
            case Node.Set set -> assign(set.targets(), evaluate(set.value(), scope), scope);
            case Node.SetAttribute set -> {
                Object value = evaluate(set.value(), scope);
                if (!(scope.get(set.namespace()) instanceof TemplateValue.Namespace namespace)) {
                    throw budget.fail("'" + set.namespace() + "' is not a namespace, so its attributes cannot be set");
                }
                namespace.attributes().put(set.attribute(), value);
            }
            case Node.SetBlock set -> {
                StringBuilder text = new StringBuilder();
                Signal signal = run(set.body(), scope, text);
                scope.set(set.target(), text.toString());
                return signal;
            }
            case Node.Macro macro -> scope.set(macro.name(), new TemplateValue.Macro(macro, scope));
            case Node.CallBlock block -> {
                List<Node.Suffix> suffixes = block.call().suffixes();
                Node.Suffix last = suffixes.getLast();
                List<Node.Suffix> before = suffixes.subList(0, suffixes.size() - 1);
                Object callee = access(new Node.Access(block.call().base(), before, block.line()), scope);
                if (!(callee instanceof TemplateValue.Macro macro) || !(last instanceof Node.Call call)) {
                    throw budget.fail("only a macro can be called with a body");
                }
                budget.step();
                print(macro(macro, arguments("macro " + macro.definition().name(), call.arguments(), scope),
                        new TemplateValue.Macro(block.caller(), scope)), out);
            }
            case Node.FilterBlock block -> {
                StringBuilder text = new StringBuilder();
                run(block.body(), new Scope(scope), text);
                Object value = text.toString();
                for (Node.Filter filter : block.filters()) {
                    budget.step();
                    value = filters.apply(filter.name(), value, arguments("filter " + filter.name(), filter.arguments(), scope));
                }
                print(values.text(value), out);
            }
            case Node.Group group -> {
                return run(group.body(), scope, out);
            }
            case Node.Jump jump -> {
                return jump.leave() ? Signal.LEAVE_LOOP : Signal.NEXT_TURN;
            }
        }
        return Signal.GO_ON;
    }

    private void assign(List<String> targets, @Nullable Object value, Scope scope) {
        if (targets.size() == 1) {
            scope.set(targets.getFirst(), value);
            return;
        }
        List<@Nullable Object> parts = values.items(value);
        if (parts.size() != targets.size()) {
            throw budget.fail(targets.size() + " names for " + parts.size() + " values");
        }
        for (int i = 0; i < parts.size(); i++) {
            scope.set(targets.get(i), parts.get(i));
        }
    }

    private Signal loop(Node.For loop, Scope outer, StringBuilder out) {
        List<@Nullable Object> items = values.items(evaluate(loop.items(), outer));
        Node.Expr filter = loop.filter();
        if (filter != null) {
            items.removeIf(item -> {
                budget.step();
                Scope scope = new Scope(outer);
                assign(loop.targets(), item, scope);
                return !Values.truth(evaluate(filter, scope));
            });
        }
        if (items.isEmpty()) {
            return run(loop.otherwise(), outer, out);
        }
        loops++;
        for (int i = 0; i < items.size(); i++) {
            budget.line = loop.line();
            budget.step();
            Scope scope = new Scope(outer);
            scope.set("loop", new TemplateValue.Loop(items, i, loops));
            assign(loop.targets(), items.get(i), scope);
            if (run(loop.body(), scope, out) == Signal.LEAVE_LOOP) {
                break;
            }
        }
        loops--;
        return Signal.GO_ON;
    }

    private @Nullable Object evaluate(Node.Expr expression, Scope scope) {
        budget.enter();
        budget.work(1);
        Object value = switch (expression) {
            case Node.Literal literal -> literal.value();
            case Node.Name name -> scope.get(name.name());
            case Node.ListOf list -> all(list.items(), scope);
            case Node.DictOf dict -> dict(dict, scope);
            case Node.Unary unary -> operators.unary(unary.operator(), evaluate(unary.operand(), scope));
            case Node.Chain chain -> {
                Object left = evaluate(chain.first(), scope);
                for (Node.Link link : chain.links()) {
                    left = operators.binary(link.operator(), left, evaluate(link.operand(), scope));
                }
                yield left;
            }
            case Node.Comparison comparison -> comparison(comparison, scope);
            case Node.Logic logic -> {
                Object last = null;
                for (Node.Expr operand : logic.operands()) {
                    last = evaluate(operand, scope);
                    if (Values.truth(last) != logic.and()) {
                        break;
                    }
                }
                yield last;
            }
            case Node.Choice choice -> {
                if (Values.truth(evaluate(choice.test(), scope))) {
                    yield evaluate(choice.yes(), scope);
                }
                yield choice.no() == null ? new TemplateValue.Undefined("the missing else") : evaluate(choice.no(), scope);
            }
            case Node.Access access -> access(access, scope);
        };
        budget.leave();
        return value;
    }

    private List<@Nullable Object> all(List<Node.Expr> expressions, Scope scope) {
        List<@Nullable Object> all = new ArrayList<>(expressions.size());
        for (Node.Expr expression : expressions) {
            all.add(evaluate(expression, scope));
        }
        return all;
    }

    private Object dict(Node.DictOf dict, Scope scope) {
        Map<@Nullable Object, @Nullable Object> map = new LinkedHashMap<>();
        for (int i = 0; i < dict.keys().size(); i++) {
            Object key = evaluate(dict.keys().get(i), scope);
            if (!Values.isKey(key)) {
                throw budget.fail(Values.kind(key) + " cannot be a key");
            }
            map.put(key, evaluate(dict.values().get(i), scope));
        }
        return map;
    }

    private boolean comparison(Node.Comparison comparison, Scope scope) {
        Object left = evaluate(comparison.first(), scope);
        for (Node.Link link : comparison.links()) {
            Object right = evaluate(link.operand(), scope);
            if (!operators.compare(link.operator(), left, right)) {
                return false;
            }
            left = right;
        }
        return true;
    }

    private @Nullable Object access(Node.Access access, Scope scope) {
        Object value = evaluate(access.base(), scope);
        List<Node.Suffix> suffixes = access.suffixes();
        for (int i = 0; i < suffixes.size(); i++) {
            budget.line = access.line();
            budget.work(1);
            value = switch (suffixes.get(i)) {
                case Node.Attribute attribute ->
                    attribute(value, attribute.name(), i + 1 < suffixes.size() && suffixes.get(i + 1) instanceof Node.Call);
                case Node.Index index -> index(value, evaluate(index.key(), scope));
                case Node.Slice slice ->
                    operators.slice(value, orNull(slice.from(), scope), orNull(slice.to(), scope), orNull(slice.step(), scope));
                case Node.Call call -> call(value, call.arguments(), scope);
                case Node.Filter filter -> {
                    budget.step();
                    yield filters.apply(filter.name(), value, arguments("filter " + filter.name(), filter.arguments(), scope));
                }
                case Node.Test test ->
                    filters.test(test.name(), value, arguments("test " + test.name(), test.arguments(), scope)) != test.negated();
            };
        }
        return value;
    }

    private @Nullable Object orNull(Node.@Nullable Expr expression, Scope scope) {
        return expression == null ? null : evaluate(expression, scope);
    }

    private CallArguments arguments(String callee, Node.Arguments arguments, Scope scope) {
        Map<String, @Nullable Object> named = new LinkedHashMap<>();
        List<@Nullable Object> positional = all(arguments.positional(), scope);
        arguments.named().forEach((name, value) -> named.put(name, evaluate(value, scope)));
        return new CallArguments(callee, positional, named, budget);
    }

    // a mapping's key and its method can have one name: what is called is the method
    private @Nullable Object attribute(@Nullable Object value, String name, boolean called) {
        if (value instanceof Map<?, ?> map && map.containsKey(name) && !(called && Methods.has(map, name))) {
            return map.get(name);
        }
        if (value != null && Methods.has(value, name)) {
            return new TemplateValue.Method(value, name);
        }
        return switch (value) {
            case TemplateValue.Namespace namespace when namespace.attributes().containsKey(name) -> namespace.attributes().get(name);
            case TemplateValue.Loop loop -> loopAttribute(loop, name);
            case TemplateValue.Undefined undefined ->
                throw budget.fail("'" + undefined.name() + "' is undefined and has no attribute '" + name + "'");
            case null, default -> new TemplateValue.Undefined(name);
        };
    }

    private @Nullable Object loopAttribute(TemplateValue.Loop loop, String name) {
        long index = loop.index();
        int size = loop.items().size();
        return switch (name) {
            case "index" -> index + 1;
            case "index0" -> index;
            case "revindex" -> size - index;
            case "revindex0" -> size - index - 1;
            case "first" -> index == 0;
            case "last" -> index == size - 1;
            case "length" -> (long) size;
            case "depth" -> (long) loop.depth();
            case "depth0" -> loop.depth() - 1L;
            case "previtem" -> index > 0 ? loop.items().get(loop.index() - 1) : new TemplateValue.Undefined(name);
            case "nextitem" -> index < size - 1 ? loop.items().get(loop.index() + 1) : new TemplateValue.Undefined(name);
            default -> new TemplateValue.Undefined(name);
        };
    }

    private @Nullable Object index(@Nullable Object value, @Nullable Object key) {
        return switch (value) {
            case Map<?, ?> map when Values.isKey(key) && map.containsKey(key) -> map.get(key);
            case List<?> list when key instanceof Long at -> {
                long place = at < 0 ? at + list.size() : at;
                yield place < 0 || place >= list.size() ? new TemplateValue.Undefined("item " + at) : list.get((int) place);
            }
            case String text when key instanceof Long at -> operators.character(text, at);
            case null, default -> key instanceof String name ? attribute(value, name, false) : missing(value, key);
        };
    }

    private Object missing(@Nullable Object value, @Nullable Object key) {
        if (value instanceof TemplateValue.Undefined undefined) {
            throw budget.fail("'" + undefined.name() + "' is undefined and has no items");
        }
        return new TemplateValue.Undefined(Values.isKey(key) ? "item " + values.text(key) : "item");
    }

    private @Nullable Object call(@Nullable Object callee, Node.Arguments given, Scope scope) {
        budget.step();
        return switch (callee) {
            case TemplateValue.Macro macro -> macro(macro, arguments("macro " + macro.definition().name(), given, scope), null);
            case TemplateValue.Method method -> methods.call(method, arguments(method.name(), given, scope));
            case TemplateValue.Function function -> function(function.name(), arguments(function.name(), given, scope));
            case null, default -> throw budget.fail(Values.kind(callee) + " cannot be called");
        };
    }

    private String macro(TemplateValue.Macro macro, CallArguments arguments, TemplateValue.@Nullable Macro caller) {
        Node.Macro definition = macro.definition();
        arguments.allow(definition.parameters().toArray(String[]::new));
        budget.nesting(++calls);
        Scope scope = new Scope(macro.scope());
        if (caller != null) {
            scope.set("caller", caller);
        }
        for (int i = 0; i < definition.parameters().size(); i++) {
            String name = definition.parameters().get(i);
            Node.Expr otherwise = definition.defaults().get(i);
            if (arguments.has(i, name)) {
                scope.set(name, arguments.get(i, name, null));
            } else {
                scope.set(name, otherwise == null ? new TemplateValue.Undefined(name) : evaluate(otherwise, scope));
            }
        }
        StringBuilder out = new StringBuilder();
        int line = budget.line;
        run(definition.body(), scope, out);
        budget.line = line;
        calls--;
        return out.toString();
    }

    private Object function(String name, CallArguments arguments) {
        return switch (name) {
            case "range" -> range(arguments.allow("start", "stop", "step"));
            case "namespace", "dict" -> {
                Map<@Nullable Object, @Nullable Object> attributes = new LinkedHashMap<>();
                if (!arguments.positional().isEmpty() && arguments.positional().getFirst() instanceof Map<?, ?> map) {
                    attributes.putAll(map);
                }
                attributes.putAll(arguments.named());
                yield name.equals("dict") ? attributes : new TemplateValue.Namespace(attributes);
            }
            case "strftime_now" -> {
                LocalDateTime time = now == null ? LocalDateTime.now(ZoneId.systemDefault()) : now;
                yield Clock.format(time, arguments.allow("format").string(0, "format"), budget);
            }
            default -> throw budget.fail(values.text(arguments.positional().isEmpty() ? "" : arguments.positional().getFirst()));
        };
    }

    private List<@Nullable Object> range(CallArguments arguments) {
        boolean one = arguments.positional().size() == 1;
        long from = one ? 0 : arguments.integer(0, "start", 0);
        long to = one ? arguments.integer(0, "stop", 0) : arguments.integer(1, "stop", 0);
        long step = arguments.integer(2, "step", 1);
        if (step == 0) {
            throw budget.fail("range needs a step that is not zero");
        }
        List<@Nullable Object> items = new ArrayList<>();
        for (long i = from; step > 0 ? i < to : i > to; i = Math.addExact(i, step)) {
            if (items.size() == Budget.STEPS) {
                throw budget.fail("a range of more than " + Budget.STEPS + " numbers");
            }
            items.add(i);
        }
        budget.work(items.size());
        return items;
    }
}
