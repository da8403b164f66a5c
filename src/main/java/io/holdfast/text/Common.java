package io.holdfast.text;

/** What two texts have in common at their ends, in characters of Java. */
final class Common {
  private Common() {}

  /** Length of the longest common prefix; never half a code point. */
  static int prefix(String a, String b) {
    int n = 0;
    while (n < Math.min(a.length(), b.length()) && a.charAt(n) == b.charAt(n)) {
      n++;
    }
    return n > 0 && Character.isHighSurrogate(a.charAt(n - 1)) ? n - 1 : n;
  }

  /** Length of the longest common suffix; never half a code point. */
  static int suffix(String a, String b) {
    int n = 0;
    while (n < Math.min(a.length(), b.length())
        && a.charAt(a.length() - 1 - n) == b.charAt(b.length() - 1 - n)) {
      n++;
    }
    return n > 0 && Character.isLowSurrogate(a.charAt(a.length() - n)) ? n - 1 : n;
  }
}
