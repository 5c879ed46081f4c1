#include "data/ngram.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

using doctest::Approx;
using rubato::batch;
using rubato::bits_per_byte;
using rubato::byte_ngram;

namespace {

// One batch of windows of equal length.
std::vector<batch> windows(const std::vector<std::string>& rows) {
  batch b;
  b.examples = static_cast<std::int64_t>(rows.size());
  b.length = static_cast<std::int64_t>(rows.front().size()) - 1;
  for (const auto& row : rows) {
    for (const unsigned char byte : row) b.tokens.push_back(byte);
  }
  return {b};
}

std::string all_bytes() {
  std::string text;
  for (int byte = 0; byte < 256; ++byte) text += static_cast<char>(byte);
  return text;
}

}  // namespace

TEST_CASE("a model that has seen nothing takes every byte to be as likely") {
  const byte_ngram model;
  CHECK(model.probability("", 'a') == 1.0 / 256);
  CHECK(model.probability("xy", 0) == 1.0 / 256);
  CHECK(bits_per_byte(model, windows({"hello", "world"}), 2) == 8.0);
}

TEST_CASE("probabilities are those worked out by hand") {
  byte_ngram model;
  model.learn("abab");
  // Nothing before: a and b twice each among 4, 2 different.
  const double a = (2 + 2.0 / 256) / 6;
  const double c = (0 + 2.0 / 256) / 6;
  CHECK(model.probability("", 'a') == Approx(a));
  CHECK(model.probability("", 'b') == Approx(a));
  CHECK(model.probability("", 'c') == Approx(c));
  // After a: b twice. After b: a once.
  const double b_after_a = (2 + a) / 3;
  const double a_after_b = (1 + a) / 2;
  CHECK(model.probability("a", 'b') == Approx(b_after_a));
  CHECK(model.probability("b", 'a') == Approx(a_after_b));
  CHECK(model.probability("b", 'c') == Approx(c / 2));
  // After ab: a once. After ba: b once. After cb, never seen: as after b.
  CHECK(model.probability("ab", 'a') == Approx((1 + a_after_b) / 2));
  CHECK(model.probability("ba", 'b') == Approx((1 + b_after_a) / 2));
  CHECK(model.probability("cb", 'a') == Approx(a_after_b));
  // Only the last two bytes count.
  CHECK(model.probability("zzzab", 'a') == model.probability("ab", 'a'));
}

TEST_CASE("probabilities sum to 1 after any context and none is zero") {
  byte_ngram model;
  model.learn("it was the best of times, it was the worst of times", 0.3);
  model.learn(std::string("\0\xff\x80 the end", 11), 2.5);
  for (const std::string context : {"", "t", "q", "th", "qh", "qq", " t", "\xff", "\xff\x80"}) {
    CAPTURE(context);
    double sum = 0;
    for (int byte = 0; byte < 256; ++byte) {
      const double p = model.probability(context, static_cast<unsigned char>(byte));
      CHECK(p > 0);
      sum += p;
    }
    CHECK(sum == Approx(1.0).epsilon(1e-12));
  }
}

TEST_CASE("a text in which every byte is as frequent takes 8 bits a byte without context") {
  byte_ngram model;
  for (int i = 0; i < 3; ++i) model.learn(all_bytes());
  CHECK(bits_per_byte(model, windows({"any text", "at all, "}), 0) == Approx(8.0).epsilon(1e-12));
}

TEST_CASE("the cost of a regular text goes to log2 of its choices") {
  // x and y at random, each followed by a comma: one bit of choice every two bytes.
  std::string text;
  std::uint32_t state = 1;
  for (int i = 0; i < 100000; ++i) {
    state = state * 1664525 + 1013904223;
    text += state >> 31 ? "x," : "y,";
  }
  byte_ngram model;
  model.learn(text);
  const auto measured = windows({text.substr(0, 10001)});
  CHECK(bits_per_byte(model, measured, 2) == Approx(0.5).epsilon(0.01));
  CHECK(bits_per_byte(model, measured, 1) == Approx(0.5).epsilon(0.01));
  // Without context: a comma is 1 bit, a letter 2.
  CHECK(bits_per_byte(model, measured, 0) == Approx(1.5).epsilon(0.01));
}

TEST_CASE("bits are counted for what a model predicts, from what it sees in the window") {
  byte_ngram model;
  model.learn("abcabcabd");
  const auto bits = [&](const std::string& history, char byte) {
    return -std::log2(model.probability(history, static_cast<unsigned char>(byte)));
  };
  // The first byte is given, the second has one byte before it, the others two.
  const double first = bits("a", 'b') + bits("ab", 'c') + bits("bc", 'a');
  const double second = bits("c", 'a') + bits("ca", 'b') + bits("ab", 'd');
  CHECK(bits_per_byte(model, windows({"abca", "cabd"}), 2) == Approx((first + second) / 6));
  auto two_batches = windows({"abca"});
  two_batches.push_back(windows({"cabd"}).front());
  CHECK(bits_per_byte(model, two_batches, 2) == Approx((first + second) / 6));
  const double unigram = bits("", 'b') + bits("", 'c') + bits("", 'a');
  CHECK(bits_per_byte(model, windows({"abca"}), 0) == Approx(unigram / 3));
}

TEST_CASE("a weight counts like a repetition") {
  byte_ngram weighted;
  weighted.learn("to be or not", 3.0);
  weighted.learn("that is the question");
  byte_ngram repeated;
  for (int i = 0; i < 3; ++i) repeated.learn("to be or not");
  repeated.learn("that is the question");
  for (const std::string context : {"", "t", "to", "th", "no"}) {
    for (const unsigned char byte : std::string("to behz")) {
      CHECK(weighted.probability(context, byte) == repeated.probability(context, byte));
    }
  }
}
