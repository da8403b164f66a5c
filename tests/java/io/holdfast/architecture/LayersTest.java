package io.holdfast.architecture;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.domain.JavaMethodCall;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import io.holdfast.model.Rope;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;

/**
 * Imports run downwards only. Layers from the top; rooms on one layer may use each other, as long
 * as no circle comes of it.
 */
class LayersTest {
  private static final List<List<String>> LAYERS =
      List.of(
          List.of("cli"),
          List.of("report", "bench", "train", "attack", "eval"),
          List.of("guard", "risk", "geometry"),
          List.of("model", "world"),
          List.of("data", "text", "checkpoint"),
          List.of("torch"),
          List.of("kernels"));

  private static final Set<String> FACTORIES =
      Set.of(
          "arange",
          "empty",
          "eye",
          "from_blob",
          "full",
          "linspace",
          "normal",
          "ones",
          "rand",
          "randint",
          "randn",
          "randperm",
          "tensor",
          "tril_indices",
          "zeros");

  private static final JavaClasses PRODUCT =
      new ClassFileImporter()
          .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
          .importPackages("io.holdfast");

  @TestFactory
  List<DynamicTest> noLayerLooksUp() {
    var tests = new ArrayList<DynamicTest>();
    for (int i = 1; i < LAYERS.size(); i++) {
      var here = packages(LAYERS.subList(i, i + 1));
      var above = packages(LAYERS.subList(0, i));
      tests.add(
          DynamicTest.dynamicTest(
              String.join(", ", LAYERS.get(i)),
              () ->
                  noClasses()
                      .that()
                      .resideInAnyPackage(here)
                      .should()
                      .dependOnClassesThat()
                      .resideInAnyPackage(above)
                      .allowEmptyShould(true)
                      .check(PRODUCT)));
    }
    return tests;
  }

  /** LibTorch's own factories make tensors in host memory, where a GPU's cannot meet them. */
  @Test
  void tensorsAreMadeOnTheDevice() {
    noClasses()
        .that()
        .doNotBelongToAnyOf(Rope.class)
        .and()
        .resideOutsideOfPackages("io.holdfast.bench..", "io.holdfast.torch..")
        .should()
        .callMethodWhere(
            DescribedPredicate.describe(
                "a factory of LibTorch makes a tensor in host memory; use Tensors",
                (JavaMethodCall call) ->
                    call.getTargetOwner().isEquivalentTo(torch.class)
                        && FACTORIES.contains(call.getName())))
        .check(PRODUCT);
  }

  @Test
  void roomsFormNoCircle() {
    slices().matching("io.holdfast.(*)..").should().beFreeOfCycles().check(PRODUCT);
  }

  @Test
  void everyRoomHasItsLayer() {
    var known = LAYERS.stream().flatMap(List::stream).map(room -> "io.holdfast." + room).toList();
    noClasses()
        .that()
        .resideOutsideOfPackage("io.holdfast")
        .and(
            JavaClass.Predicates.resideOutsideOfPackages(
                known.stream().map(room -> room + "..").toArray(String[]::new)))
        .should()
        .resideInAPackage("io.holdfast..")
        .allowEmptyShould(true)
        .check(PRODUCT);
  }

  @Test
  void theWorldFeedsOnDataAndTextAlone() {
    noClasses()
        .that()
        .resideInAPackage("io.holdfast.world..")
        .should()
        .dependOnClassesThat(
            JavaClass.Predicates.resideInAnyPackage(
                "io.holdfast.model..",
                "io.holdfast.checkpoint..",
                "io.holdfast.torch..",
                "io.holdfast.kernels.."))
        .check(PRODUCT);
  }

  @Test
  void kernelsKnowNothingOfLibTorch() {
    noClasses()
        .that()
        .resideInAPackage("io.holdfast.kernels..")
        .should()
        .dependOnClassesThat()
        .resideInAnyPackage("org.bytedeco..")
        .check(PRODUCT);
  }

  private static String[] packages(List<List<String>> layers) {
    return layers.stream()
        .flatMap(List::stream)
        .map(room -> "io.holdfast." + room + "..")
        .toArray(String[]::new);
  }
}
