package io.holdfast.cli;

import org.bytedeco.pytorch.presets.torch;
import picocli.CommandLine.IVersionProvider;

/** What {@code --version} says. */
final class Version implements IVersionProvider {
  /** The version in the jar's manifest. */
  static String ofHoldfast() {
    var version = Version.class.getPackage().getImplementationVersion();
    return version == null ? "(not packed into a jar)" : version;
  }

  /** The version of the LibTorch bindings, without loading LibTorch. */
  static String ofLibTorch() {
    return torch.class.getPackage().getImplementationVersion();
  }

  @Override
  public String[] getVersion() {
    return new String[] {"holdfast " + ofHoldfast()};
  }
}
