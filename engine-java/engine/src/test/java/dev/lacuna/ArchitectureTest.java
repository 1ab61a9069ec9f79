package dev.lacuna;

import static com.tngtech.archunit.base.DescribedPredicate.alwaysTrue;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Which package may know which: the table of the design. */
class ArchitectureTest {
    private static final JavaClasses ENGINE = new ClassFileImporter().importPath(Path.of("target/classes/dev"));

    private static final String JACKSON = "tools.jackson..";

    /** Each package below the root with what it may use beside itself and the JDK. */
    private static final Map<String, List<String>> MAY_USE = Map.of("tensor", List.of(), //
            "ops", List.of("dev.lacuna.tensor"), //
            "files", List.of("dev.lacuna.tensor", JACKSON), //
            "model", List.of("dev.lacuna.files", "dev.lacuna.ops", "dev.lacuna.tensor"), //
            "text", List.of(JACKSON), //
            "hub", List.of(JACKSON), //
            "generate", List.of("dev.lacuna.model", "dev.lacuna.text", "dev.lacuna.files", "dev.lacuna.ops", "dev.lacuna.tensor"));

    private static String layer(JavaClass c) {
        String name = c.getPackageName();
        if (name.equals("dev.lacuna")) return "";
        return name.substring("dev.lacuna.".length()).split("\\.", 2)[0];
    }

    /** The packages that exist. */
    static Set<String> packages() {
        return ENGINE.stream().map(ArchitectureTest::layer).filter(l -> !l.isEmpty()).collect(Collectors.toCollection(TreeSet::new));
    }

    @Test
    void everyPackageHasItsPlace() {
        assertFalse(ENGINE.isEmpty());
        assertTrue(packages().containsAll(Set.of("tensor", "ops")), packages().toString());
        assertTrue(MAY_USE.keySet().containsAll(packages()), () -> "packages without a line in the table: " + packages());
    }

    @ParameterizedTest
    @MethodSource("packages")
    void knowsOnlyWhatItMay(String name) {
        check(ENGINE, name, MAY_USE.get(name));
    }

    private static void check(JavaClasses in, String name, List<String> others) {
        String own = "dev.lacuna." + name + "..";
        List<String> may = new ArrayList<>(others);
        may.addAll(List.of(own, "java..", "javax..", "jdk..", "org.jspecify.."));
        classes().that().resideInAPackage(own).should().onlyDependOnClassesThat(resideInAnyPackage(may.toArray(String[]::new))).check(in);
    }

    @Test
    void packagesHaveNoCycles() {
        slices().matching("dev.lacuna.(*)..").should().beFreeOfCycles().check(ENGINE);
    }

    /** Kernels arrive by ServiceLoader. */
    @Test
    void knowsNoKernels() {
        noClasses().that(alwaysTrue()).should().dependOnClassesThat(resideInAPackage("dev.lacuna.kernels..")).check(ENGINE);
    }

    /** A rule that nothing can break would be worth nothing: ops does use tensor. */
    @Test
    void aForbiddenUseIsSeen() {
        assertThrows(AssertionError.class, () -> check(ENGINE, "ops", List.of()));
    }
}
