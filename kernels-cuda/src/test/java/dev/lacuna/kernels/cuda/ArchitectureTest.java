package dev.lacuna.kernels.cuda;

import static com.tngtech.archunit.base.DescribedPredicate.not;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import org.junit.jupiter.api.Test;

class ArchitectureTest {
    private static final JavaClasses KERNELS = new ClassFileImporter().withImportOption(new ImportOption.DoNotIncludeTests())
            .importPackages("dev.lacuna.kernels.cuda");

    /** Kernels see of the engine what kernels need. */
    @Test
    void seesOnlyOpsAndTensor() {
        noClasses().that().resideInAPackage("dev.lacuna.kernels.cuda..").should()
                .dependOnClassesThat(resideInAPackage("dev.lacuna..")
                        .and(not(resideInAnyPackage("dev.lacuna.kernels.cuda..", "dev.lacuna.ops", "dev.lacuna.tensor"))))
                .check(KERNELS);
    }

    /** Where there is no driver, the first touch of JCuda is a LinkageError: the looking must do without. */
    @Test
    void looksWithoutJCuda() {
        classes().that().haveFullyQualifiedName("dev.lacuna.kernels.cuda.Driver").or().haveNameMatching(".*\\.Driver\\$.*").should()
                .onlyDependOnClassesThat(not(resideInAPackage("jcuda.."))).check(KERNELS);
        assertUsesJCuda();
    }

    private static void assertUsesJCuda() {
        classes().that().haveSimpleName("Device").should().dependOnClassesThat(resideInAPackage("jcuda..")).check(KERNELS);
    }
}
