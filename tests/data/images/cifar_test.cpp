#include "data/images/cifar.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <string>

#include "config/error.hpp"
#include "tests/data/images/image_files.hpp"
#include "tests/data/temporary_folder.hpp"

using namespace rubato;
using namespace rubato::test;

namespace {

config cifar_config(const std::string& kind, const std::vector<std::string>& paths) {
  config c;
  c.data.kind = kind;
  for (const auto& path : paths) c.data.paths.push_back({path});
  return c;
}

/// `count` records of CIFAR-10, of classes 0, 1, ... and so on.
byte_list records(int count, std::uint64_t key = 0) {
  byte_list file;
  for (int i = 0; i < count; ++i) {
    file += cifar_record({static_cast<std::uint8_t>(i % 10)}, key + static_cast<std::uint64_t>(i));
  }
  return file;
}

std::vector<float> image_of(const image_set& set, image_part part, std::size_t index,
                            random_generator* augmentation = nullptr) {
  std::vector<float> values(3072);
  CHECK(set.write(part, index, augmentation, values.data()));
  return values;
}

/// The error of reading this, with the folder's name left out.
std::string error_of(const config& c, const temporary_folder& folder) {
  try {
    read_cifar(c);
  } catch (const usage_error& error) {
    std::string text = error.what();
    for (auto at = text.find(folder.string()); at != std::string::npos;
         at = text.find(folder.string())) {
      text.erase(at, folder.string().size() + 1);
    }
    return text;
  }
  return "no error";
}

}  // namespace

TEST_CASE("CIFAR-10's folder gives its training and its test images, and nothing else of it") {
  const temporary_folder folder;
  folder.write("data_batch_1.bin", as_text(records(7, 100)));
  folder.write("data_batch_2.bin", as_text(records(5, 200)));
  folder.write("test_batch.bin", as_text(records(3, 300)));
  folder.write("batches.meta.txt", "airplane\n");
  folder.write("readme.html", "<html>");
  const auto set = read_cifar(cifar_config("cifar10", {folder.string()}));
  CHECK(set->shape().features == 3072);
  CHECK(set->shape().classes == 10);
  CHECK(set->shape().channels == 3);
  CHECK(set->shape().height == 32);
  CHECK(set->shape().width == 32);
  CHECK(set->labels(image_part::training) ==
        std::vector<std::int32_t>{0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4});
  CHECK(set->labels(image_part::held_out) == std::vector<std::int32_t>{0, 1, 2});
  CHECK(set->notes().empty());
  CHECK_FALSE(set->is_slow());

  // Image 8 is the second of the second file: its bytes, brought to CIFAR-10's mean and deviation.
  const auto bytes = cifar_record({1}, 201);
  const auto values = image_of(*set, image_part::training, 8);
  constexpr double mean[] = {0.4914, 0.4822, 0.4465};
  constexpr double deviation[] = {0.2470, 0.2435, 0.2616};
  for (std::size_t i = 0; i < 3072; ++i) {
    const double expected = (bytes[1 + i] / 255.0 - mean[i / 1024]) / deviation[i / 1024];
    CHECK(std::abs(values[i] - expected) < 1e-5);
  }
}

TEST_CASE("to train alone, CIFAR's test images are not read") {
  const temporary_folder folder;
  folder.write("data_batch_1.bin", as_text(records(7, 100)));
  folder.write("test_batch.bin", "damaged");
  for (int i = 0; i < 2; ++i) {
    const auto set = read_cifar(cifar_config("cifar10", {folder.string()}), data_use::training);
    CHECK(set->labels(image_part::training) == std::vector<std::int32_t>{0, 1, 2, 3, 4, 5, 6});
    CHECK(set->labels(image_part::held_out).empty());
    std::filesystem::remove(folder / "test_batch.bin");
  }
}

TEST_CASE("CIFAR-100 has the fine labels, and files can be named one by one") {
  const temporary_folder folder;
  byte_list training;
  training += cifar_record({3, 99}, 1);
  training += cifar_record({19, 0}, 2);
  const auto train = folder.write("train.bin", as_text(training));
  const auto test = folder.write("test.bin", as_text(cifar_record({2, 57}, 3)));
  for (const auto& paths :
       {std::vector<std::string>{folder.string()}, std::vector<std::string>{test, train}}) {
    const auto set = read_cifar(cifar_config("cifar100", paths));
    CHECK(set->shape().classes == 100);
    CHECK(set->labels(image_part::training) == std::vector<std::int32_t>{99, 0});
    CHECK(set->labels(image_part::held_out) == std::vector<std::int32_t>{57});
  }
}

TEST_CASE("a variant of a stored image is a shifted crop with a frame of the mean, and mirrored") {
  const temporary_folder folder;
  folder.write("data_batch_1.bin", as_text(records(1)));
  folder.write("test_batch.bin", as_text(records(1)));
  const auto set = read_cifar(cifar_config("cifar10", {folder.string()}));
  const auto plain = image_of(*set, image_part::training, 0);

  /// The image as it is, moved by whole pixels, and then mirrored or not.
  const auto moved = [&](int down, int right, bool mirror) {
    std::vector<float> values;
    for (int c = 0; c < 3; ++c) {
      for (int y = 0; y < 32; ++y) {
        for (int x = 0; x < 32; ++x) {
          const int row = y + down;
          const int column = (mirror ? 31 - x : x) + right;
          const bool inside = row >= 0 && row < 32 && column >= 0 && column < 32;
          values.push_back(inside ? plain[static_cast<std::size_t>((c * 32 + row) * 32 + column)]
                                  : 0.0F);
        }
      }
    }
    return values;
  };
  int seen[9][9][2] = {};
  for (std::uint64_t draw = 0; draw < 3000; ++draw) {
    random_generator random(draw, random_stream::test);
    const auto variant = image_of(*set, image_part::training, 0, &random);
    int found = 0;
    for (int down = -4; down <= 4; ++down) {
      for (int right = -4; right <= 4; ++right) {
        for (const bool mirror : {false, true}) {
          // The middle row tells them apart; the whole is compared for the one that fits.
          const auto at = static_cast<std::size_t>((16 + down) * 32 + (mirror ? 15 : 16) + right);
          if (variant[16 * 32 + 16] != plain[at]) continue;
          if (variant != moved(down, right, mirror)) continue;
          ++seen[down + 4][right + 4][mirror];
          ++found;
        }
      }
    }
    REQUIRE(found == 1);
  }
  // 162 variants, each expected 18.5 times.
  for (const auto& row : seen) {
    for (const auto& place : row) {
      for (const int count : place) {
        CHECK(count > 0);
        CHECK(count < 45);
      }
    }
  }
}

TEST_CASE("a CIFAR file that is empty, cut short or of another kind is refused by name") {
  const temporary_folder folder;
  folder.write("data_batch_1.bin", as_text(records(2)));
  folder.write("data_batch_2.bin", as_text(records(2)).substr(0, 6000));
  folder.write("test_batch.bin", as_text(records(2)));
  auto c = cifar_config("cifar10", {folder.string()});
  CHECK(error_of(c, folder) ==
        "data.paths: 1 of 3 files cannot be used (1 cut short); the first: \"data_batch_2.bin\" is "
        "cut short (6000 bytes, no multiple of 3073); mend or remove it, or set data.bad_files = "
        "\"skip\"");
  folder.write("data_batch_3.bin", "");
  auto other = records(2);
  other[3073] = 10;
  folder.write("data_batch_4.bin", as_text(other));
  CHECK(error_of(c, folder) ==
        "data.paths: 3 of 5 files cannot be used (1 empty, 1 cut short, 1 damaged); the first: "
        "\"data_batch_2.bin\" is cut short (6000 bytes, no multiple of 3073); mend or remove them, "
        "or set data.bad_files = \"skip\"");

  c.data.bad_files = "skip";
  const auto set = read_cifar(c);
  CHECK(set->labels(image_part::training).size() == 2);
  REQUIRE(set->notes().size() == 1);
  CHECK(set->notes()[0].rfind("3 of 5 files cannot be used (1 empty, 1 cut short, 1 damaged)", 0) ==
        0);

  std::filesystem::remove(folder / "data_batch_2.bin");
  std::filesystem::remove(folder / "data_batch_3.bin");
  c.data.bad_files = "refuse";
  CHECK(error_of(c, folder) ==
        "data.paths: 1 of 3 files cannot be used (1 damaged); the first: \"data_batch_4.bin\" is "
        "damaged (record 1 is of class 10, but there are 10); mend or remove it, or set "
        "data.bad_files = \"skip\"");
}

TEST_CASE("a place without CIFAR's files is refused with what it should hold") {
  const temporary_folder folder;
  auto c = cifar_config("cifar10", {folder.string()});
  CHECK(error_of(c, folder) ==
        "data.paths: there are no images to train on; name the folder that holds data_batch_1.bin "
        "and the other files of data.kind = \"cifar10\"");
  folder.write("data_batch_1.bin", as_text(records(2)));
  CHECK(error_of(c, folder) ==
        "data.paths: there are no images to evaluate on; name the folder that holds test_batch.bin "
        "and the other files of data.kind = \"cifar10\"");
  c.data.kind = "cifar100";
  CHECK(error_of(c, folder) ==
        "data.paths: there are no images to train on; name the folder that holds train.bin and the "
        "other files of data.kind = \"cifar100\"");
  c.data.paths = {{folder / "nothing"}};
  CHECK(error_of(c, folder) == "data.paths: \"nothing\" is no file or folder; correct it");
}
