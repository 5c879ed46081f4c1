#include "data/images/image_folder.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <set>
#include <string>

#include "config/error.hpp"
#include "data/batch_pool.hpp"
#include "data/images/image_dataset.hpp"
#include "data/images/resample.hpp"
#include "tests/data/images/image_files.hpp"
#include "tests/data/temporary_folder.hpp"

using namespace rubato;
using namespace rubato::test;

namespace {

config folder_config(const temporary_folder& folder) {
  config c;
  c.data.kind = "image-folder";
  c.data.paths = {{folder.string()}};
  c.data.image_size = 8;
  c.data.batch_size = 2;
  c.data.shards = 1;
  return c;
}

std::vector<std::int32_t> labels_of(const image_folder& set, image_part part) {
  return set.labels(part);
}

std::vector<float> image_of(const image_folder& set, image_part part, std::size_t index) {
  std::vector<float> values(3 * 8 * 8);
  REQUIRE(set.write(part, index, nullptr, values.data()));
  return values;
}

/// What a file's bytes should give without augmentation.
std::vector<float> expected(const byte_list& file) {
  const auto picture = decode_image(file);
  std::vector<float> values(3 * 8 * 8);
  resample(picture, central_crop(picture.height, picture.width, 8), 8, false,
           {{0.485F, 0.456F, 0.406F}, {0.229F, 0.224F, 0.225F}}, values.data());
  return values;
}

std::string without_folder(std::string text, const temporary_folder& folder) {
  for (auto at = text.find(folder.string()); at != std::string::npos;
       at = text.find(folder.string())) {
    const bool inside = text.substr(at + folder.string().size(), 1) == "/";
    text.erase(at, folder.string().size() + inside);
  }
  return text;
}

std::string error_of(const config& c, const temporary_folder& folder) {
  try {
    const image_folder set(c, 1);
  } catch (const usage_error& error) {
    return without_folder(error.what(), folder);
  }
  return "no error";
}

/// Files that are of no use, two of them only once they are decoded.
void write_bad_files(const temporary_folder& folder) {
  const auto jpeg = jpeg_file(20, 30);
  folder.write("train/cat/cut.jpg", as_text(jpeg).substr(0, jpeg.size() / 2));
  folder.write("train/cat/empty.png", "");
  folder.write("train/dog/notes.txt", "These are dogs.");
}

/// Two good images a class to train on and one to evaluate on: a colour and a grey JPEG, a CMYK
/// one, and PNGs.
void write_good_files(const temporary_folder& folder) {
  folder.write("train/cat/a.jpg", as_text(jpeg_file(20, 30, 1)));
  folder.write("train/cat/b.jpg",
               as_text(jpeg_file(20, 30, smooth_pixels(20, 30, 1), JCS_GRAYSCALE, JCS_GRAYSCALE)));
  folder.write("train/dog/c.jpg",
               as_text(jpeg_file(20, 30, smooth_pixels(20, 30, 4), JCS_CMYK, JCS_YCCK)));
  folder.write("train/dog/d.png", as_text(png_file(30, 20, 2)));
  folder.write("val/cat/e.png", as_text(png_file(9, 9, 3)));
  folder.write("val/dog/f.jpg", as_text(jpeg_file(12, 12, 4)));
}

/// A JPEG with its end in place and a hole in the middle, which only decoding finds.
std::string jpeg_with_a_hole() {
  auto file = jpeg_file(64, 64, 9);
  const auto middle = file.begin() + static_cast<std::ptrdiff_t>(file.size() / 2);
  file.erase(middle, file.end() - 2);
  return as_text(file);
}

}  // namespace

TEST_CASE("a folder of train/ and val/ gives their images, by the names of their folders") {
  const temporary_folder folder;
  write_good_files(folder);
  folder.write("train/.hidden/x.jpg", "no image");
  folder.write("train/cat/.DS_Store", "no image");
  folder.write("train/README", "no image");
  const image_folder set(folder_config(folder), 2);
  CHECK(set.shape().features == 192);
  CHECK(set.shape().classes == 2);
  CHECK(set.shape().height == 8);
  CHECK(labels_of(set, image_part::training) == std::vector<std::int32_t>{0, 0, 1, 1});
  CHECK(labels_of(set, image_part::held_out) == std::vector<std::int32_t>{0, 1});
  CHECK(set.notes().empty());
  CHECK(set.is_slow());
  CHECK(image_of(set, image_part::training, 0) == expected(jpeg_file(20, 30, 1)));
  CHECK(image_of(set, image_part::training, 3) == expected(png_file(30, 20, 2)));
  CHECK(image_of(set, image_part::held_out, 1) == expected(jpeg_file(12, 12, 4)));
  // Grey means red, green and blue alike, but for their means and deviations.
  const auto grey = image_of(set, image_part::training, 1);
  CHECK(grey[0] * 0.229F + 0.485F == doctest::Approx(grey[64] * 0.224F + 0.456F).epsilon(1e-5));
}

TEST_CASE("to train alone, a folder needs no val/") {
  const temporary_folder folder;
  write_good_files(folder);
  const auto c = folder_config(folder);
  const auto all = make_image_dataset(c, 1);
  std::filesystem::remove_all(folder / "val");
  CHECK(error_of(c, folder).find("has train/ but no val/") != std::string::npos);
  const auto training = make_dataset(c, data_use::training);
  CHECK(training->held_out(0).empty());
  CHECK(training->shard_size(0) == all->shard_size(0));
  for (std::uint64_t position = 0; position < 4; ++position) {
    const auto b = training->training_batch(0, position);
    CHECK(b.features == all->training_batch(0, position).features);
    CHECK(b.labels == all->training_batch(0, position).labels);
  }
}

TEST_CASE("bad files are refused with their counts and the first of their names") {
  const temporary_folder folder;
  write_good_files(folder);
  write_bad_files(folder);
  CHECK(error_of(folder_config(folder), folder) ==
        "data.paths: 3 of 9 files cannot be used (1 empty, 1 neither JPEG nor PNG, 1 cut short); "
        "the first: \"train/cat/cut.jpg\" is cut short; mend or remove them, or set data.bad_files "
        "= \"skip\"");
  std::filesystem::remove(folder / "train/cat/cut.jpg");
  std::filesystem::remove(folder / "train/dog/notes.txt");
  CHECK(error_of(folder_config(folder), folder) ==
        "data.paths: 1 of 7 files cannot be used (1 empty); the first: \"train/cat/empty.png\" is "
        "empty; mend or remove it, or set data.bad_files = \"skip\"");
}

TEST_CASE("bad files are left out and counted where the config allows it") {
  const temporary_folder folder;
  write_good_files(folder);
  const image_folder clean(folder_config(folder), 1);
  write_bad_files(folder);
  auto c = folder_config(folder);
  c.data.bad_files = "skip";
  const image_folder set(c, 1);
  for (const auto part : {image_part::training, image_part::held_out}) {
    REQUIRE(labels_of(set, part) == labels_of(clean, part));
    for (std::size_t i = 0; i < set.labels(part).size(); ++i) {
      CHECK(image_of(set, part, i) == image_of(clean, part, i));
    }
  }
  REQUIRE(set.notes().size() == 1);
  CHECK(without_folder(set.notes()[0], folder) ==
        "3 of 9 files cannot be used (1 empty, 1 neither JPEG nor PNG, 1 cut short); the first: "
        "\"train/cat/cut.jpg\" is cut short; left out");
}

TEST_CASE("a long file is told to be whole or cut short like a short one") {
  const temporary_folder folder;
  write_good_files(folder);
  const auto noise = [] {
    byte_list pixels;
    random_generator random(5, random_stream::test);
    for (int i = 0; i < 3 * 128 * 128; ++i) pixels.push_back(static_cast<std::uint8_t>(random()));
    return pixels;
  }();
  const auto file = as_text(png_file(128, 128, 8, PNG_COLOR_TYPE_RGB, noise));
  REQUIRE(file.size() > 40000);
  folder.write("train/dog/long.png", file);
  folder.write("train/dog/note.png", file + std::string(20000, 'x'));
  CHECK(error_of(folder_config(folder), folder) == "no error");
  folder.write("train/dog/part.png", file.substr(0, 40000));
  CHECK(error_of(folder_config(folder), folder) ==
        "data.paths: 1 of 9 files cannot be used (1 cut short); the first: \"train/dog/part.png\" "
        "is cut short; mend or remove it, or set data.bad_files = \"skip\"");
}

TEST_CASE("a file that cannot be read is bad, with the reason") {
  const temporary_folder folder;
  write_good_files(folder);
  std::filesystem::create_symlink(folder / "nothing", folder / "train/dog/link.png");
  CHECK(error_of(folder_config(folder), folder) ==
        "data.paths: 1 of 7 files cannot be used (1 unreadable); the first: \"train/dog/link.png\" "
        "is unreadable (No such file or directory); mend or remove it, or set data.bad_files = "
        "\"skip\"");
}

TEST_CASE("what only decoding shows to be bad is refused when its turn comes") {
  const temporary_folder folder;
  write_good_files(folder);
  folder.write("train/cat/hole.jpg", jpeg_with_a_hole());
  auto c = folder_config(folder);
  const auto data = make_image_dataset(c, 1);
  try {
    for (std::uint64_t position = 0; position < 3; ++position) data->training_batch(0, position);
    FAIL("no error");
  } catch (const usage_error& error) {
    CHECK(without_folder(error.what(), folder) ==
          "data.paths: 1 of 7 files cannot be used (1 damaged); the first: \"train/cat/hole.jpg\" "
          "is damaged (Corrupt JPEG data: premature end of data segment); mend or remove it, or "
          "set data.bad_files = \"skip\"");
  }
}

TEST_CASE("what only decoding shows to be bad gives way to the next image of its epoch") {
  const temporary_folder folder;
  write_good_files(folder);
  folder.write("train/cat/hole.jpg", jpeg_with_a_hole());
  auto c = folder_config(folder);
  c.data.bad_files = "skip";
  c.data.augment = false;
  c.data.batch_size = 1;
  const auto data = make_image_dataset(c, 1);
  CHECK(data->notes().empty());
  CHECK(data->shard_size(0) == 5);
  int twice_next = 0;
  for (std::uint64_t epoch = 0; epoch < 20; ++epoch) {
    std::vector<std::vector<float>> pictures;
    for (std::uint64_t i = 0; i < 5; ++i) {
      pictures.push_back(data->training_batch(0, 5 * epoch + i).features);
    }
    CHECK(std::set<std::vector<float>>(pictures.begin(), pictures.end()).size() == 4);
    for (std::size_t i = 0; i < 5; ++i) twice_next += pictures[i] == pictures[(i + 1) % 5];
  }
  CHECK(twice_next == 20);
  REQUIRE(data->notes().size() == 1);
  CHECK(without_folder(data->notes()[0], folder) ==
        "1 of 7 files cannot be used (1 damaged); the first: \"train/cat/hole.jpg\" is damaged "
        "(Corrupt JPEG data: premature end of data segment); left out");
}

TEST_CASE("the same files give the same batches on any number of loader threads") {
  const temporary_folder folder;
  write_good_files(folder);
  write_bad_files(folder);
  folder.write("train/cat/hole.jpg", jpeg_with_a_hole());
  auto c = folder_config(folder);
  c.data.bad_files = "skip";
  const auto batches = [&](std::size_t threads) {
    const std::shared_ptr<const dataset> data = make_image_dataset(c, threads);
    std::vector<batch> made;
    std::mutex mutex;
    std::condition_variable changed;
    batch_pool pool(data, threads, [] {});
    const auto stream = pool.open(0, 5, 30, [&](const std::shared_ptr<const batch>& b) {
      const std::lock_guard lock(mutex);
      made.push_back(*b);
      changed.notify_one();
    });
    pool.make(stream, 30);
    std::unique_lock lock(mutex);
    changed.wait_for(lock, std::chrono::seconds(20), [&] { return made.size() == 30; });
    CHECK(data->notes().front().rfind("4 of 10 files cannot be used (1 empty, 1 neither JPEG nor "
                                      "PNG, 1 cut short, 1 damaged)",
                                      0) == 0);
    return made;
  };
  const auto reference = batches(1);
  REQUIRE(reference.size() == 30);
  for (const std::size_t threads : {2, 5}) {
    CAPTURE(threads);
    const auto made = batches(threads);
    REQUIRE(made.size() == 30);
    for (std::size_t i = 0; i < 30; ++i) {
      CHECK(made[i].labels == reference[i].labels);
      CHECK(made[i].features == reference[i].features);
    }
  }
}

TEST_CASE("a shard of nothing but bad images ends with an error, not in a loop") {
  const temporary_folder folder;
  write_good_files(folder);
  auto c = folder_config(folder);
  c.data.bad_files = "skip";
  const auto data = make_image_dataset(c, 1);
  for (const std::string file : {"cat/a.jpg", "cat/b.jpg", "dog/c.jpg", "dog/d.png"}) {
    folder.write("train/" + file, "");
  }
  try {
    data->training_batch(0, 0);
    FAIL("no error");
  } catch (const usage_error& error) {
    CHECK(without_folder(error.what(), folder) ==
          "data.paths: none of the 4 images of shard 0 can be used; 4 of 6 files cannot be used (4 "
          "empty); the first: \"train/cat/a.jpg\" is empty; left out");
  }
}

TEST_CASE("bad images to evaluate on are passed over") {
  const temporary_folder folder;
  write_good_files(folder);
  folder.write("val/cat/hole.jpg", jpeg_with_a_hole());
  auto c = folder_config(folder);
  CHECK_THROWS_AS(make_image_dataset(c, 1), usage_error);
  c.data.bad_files = "skip";
  const auto data = make_image_dataset(c, 1);
  CHECK(data->info(0).held_out_size == 2);
  REQUIRE(data->held_out(0).size() == 1);
  auto labels = data->held_out(0)[0].labels;
  std::sort(labels.begin(), labels.end());
  CHECK(labels == std::vector<std::int32_t>{0, 1});
}

TEST_CASE("without train/ and val/ a share of each class is held out, always the same") {
  const temporary_folder folder;
  for (int i = 0; i < 20; ++i) {
    const auto name = std::to_string(i) + ".png";
    folder.write("ape/" + name, as_text(png_file(8, 8, static_cast<std::uint64_t>(i))));
    if (i < 2) folder.write("bee/deeper/" + name, as_text(png_file(8, 8, 100 + i)));
  }
  auto c = folder_config(folder);
  c.data.held_out = 0.25;
  const image_folder set(c, 1);
  const auto count = [&](image_part part, std::int32_t label) {
    const auto& labels = set.labels(part);
    return std::count(labels.begin(), labels.end(), label);
  };
  CHECK(count(image_part::training, 0) == 15);
  CHECK(count(image_part::held_out, 0) == 5);
  CHECK(count(image_part::training, 1) == 1);
  CHECK(count(image_part::held_out, 1) == 1);
  std::set<std::vector<float>> pictures;
  for (const auto part : {image_part::training, image_part::held_out}) {
    for (std::size_t i = 0; i < set.labels(part).size(); ++i) {
      pictures.insert(image_of(set, part, i));
    }
  }
  CHECK(pictures.size() == 22);  // each file once, on one side
  c.run.seed = 9;
  const image_folder again(c, 3);
  for (std::size_t i = 0; i < 6; ++i) {
    CHECK(image_of(again, image_part::held_out, i) == image_of(set, image_part::held_out, i));
  }
}

TEST_CASE("a folder that cannot be trained on is refused with what is missing") {
  const temporary_folder folder;
  auto c = folder_config(folder);
  CHECK(error_of(c, folder) ==
        "data.paths: \"\" has 0 folders, but must have one for each class, two at least");
  folder.write("train/cat/a.png", as_text(png_file(8, 8)));
  CHECK(
      error_of(c, folder) ==
      "data.paths: \"\" has train/ but no val/; add it, or name train/ itself to hold out a share "
      "of its images");
  folder.write("val/cat/a.png", as_text(png_file(8, 8)));
  CHECK(error_of(c, folder) ==
        "data.paths: \"train\" has 1 folders, but must have one for each class, two at least");
  std::filesystem::create_directory(folder / "train/dog");
  CHECK(error_of(c, folder) ==
        "data.paths: \"train/dog\" has 0 usable images, but a class needs 1");
  folder.write("train/dog/a.png", as_text(png_file(8, 8)));
  CHECK(error_of(c, folder) == "no error");  // "val" may lack a class
  folder.write("val/emu/a.png", as_text(png_file(8, 8)));
  CHECK(error_of(c, folder) ==
        "data.paths: \"val/emu\" is a class to evaluate on that is not trained on");

  c.data.paths = {{folder / "train"}};
  CHECK(error_of(c, folder) ==
        "data.paths: \"train/cat\" has 1 usable images, but a class needs 2, as one is held out");
  c.data.paths = {{folder / "nothing"}};
  CHECK(error_of(c, folder) ==
        "data.paths: \"nothing\" cannot be read (No such file or directory); check the path and "
        "its permissions");
  for (const std::vector<std::vector<std::string>>& paths :
       {std::vector<std::vector<std::string>>{}, {{"a"}, {"b"}}, {{"a", "b"}}}) {
    c.data.paths = paths;
    CHECK(error_of(c, folder) ==
          "data.paths must name one folder, as in data.paths = [\"pictures\"]");
  }
}
