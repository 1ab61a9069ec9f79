package dev.lacuna.kernels.opencl;

import static com.tngtech.archunit.base.DescribedPredicate.not;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

/** Kernels see of the engine what kernels need. */
class ArchitectureTest {
    private static final JavaClasses KERNELS = new ClassFileImporter().importPath(Path.of("target/classes/dev"));

    /** The rule fails where there is nothing to check. */
    @Test
    void seesOnlyOpsAndTensor() {
        noClasses().that().resideInAPackage("dev.lacuna.kernels.opencl..").should()
                .dependOnClassesThat(resideInAPackage("dev.lacuna..")
                        .and(not(resideInAnyPackage("dev.lacuna.kernels.opencl..", "dev.lacuna.ops", "dev.lacuna.tensor"))))
                .check(KERNELS);
    }
}
