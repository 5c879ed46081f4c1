#include "config/random.hpp"

#include <cmath>
#include <numbers>

namespace rubato {
namespace {

// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection with full avalanche.
std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  return z ^ (z >> 31);
}

constexpr std::uint64_t golden = 0x9e3779b97f4a7c15ULL;

}  // namespace

random_generator::random_generator(std::uint64_t seed, random_stream stream,
                                   std::initializer_list<std::uint64_t> keys)
    : key_(mix(mix(seed + golden) + static_cast<std::uint64_t>(stream) * golden)) {
  for (const auto key : keys) key_ = mix(key_ + (key + 1) * golden);
}

std::uint64_t random_generator::operator()() {
  counter_ += 1;
  return mix(key_ + counter_ * golden);
}

double random_generator::uniform() {
  return static_cast<double>((*this)() >> 11) * 0x1.0p-53;
}

std::uint64_t random_generator::below(std::uint64_t n) {
  // Lemire's method: the high half of a 128-bit product, rejecting the biased low residues.
  const std::uint64_t threshold = -n % n;
  for (;;) {
    const auto product = static_cast<unsigned __int128>((*this)()) * n;
    if (static_cast<std::uint64_t>(product) >= threshold) {
      return static_cast<std::uint64_t>(product >> 64);
    }
  }
}

double random_generator::normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

}  // namespace rubato
