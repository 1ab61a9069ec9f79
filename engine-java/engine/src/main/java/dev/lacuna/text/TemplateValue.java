package dev.lacuna.text;

import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * What a template can hold besides null, Boolean, Long, Double, String, List and Map: nothing else exists, so a template has no object of the host to
 * reach for.
 */
sealed interface TemplateValue {
    /** A name or key that is not there. */
    record Undefined(String name) implements TemplateValue {}

    /** The one thing whose attributes a template can set. */
    record Namespace(Map<Object, @Nullable Object> attributes) implements TemplateValue {}

    record Loop(List<@Nullable Object> items, int index, int depth) implements TemplateValue {}

    record Macro(Node.Macro definition, Scope scope) implements TemplateValue {}

    /** A function such as {@code range}. */
    record Function(String name) implements TemplateValue {}

    /** A method of a string, list or mapping. */
    record Method(Object self, String name) implements TemplateValue {}
}
