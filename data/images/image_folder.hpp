// Images as files, a folder for each class. Not here: decoding (image_codec) and crops (resample).
#pragma once

#include <string>

#include "data/data_use.hpp"
#include "data/images/bad_files.hpp"
#include "data/images/image_set.hpp"

namespace rubato {

/// The images of data.kind = "image-folder": JPEG and PNG files, told by their bytes.
///
/// data.paths names one folder. Where that has folders train/ and val/, they hold the classes to
/// train on and to evaluate on; else the folder itself does, and of each class a share of
/// data.held_out (at least one image, and not the last) is held out; a train/ of folders without
/// val/ is refused, unless to train alone, where nothing looks into val/. Every folder that has
/// classes is read alike: each folder in it is a class, in the order of their names, with all files
/// in and below it; files beside the classes, and whatever has a name that begins with a dot, are
/// left alone.
///
/// All files are looked at once, at their beginning and end. What is no image is counted and either
/// refused or left out before anything else, as data.bad_files says; so is a file that is found
/// damaged only when its turn comes to be decoded.
///
/// A variant for training is a random_crop() and mirrored half of the time; an image as it is, is
/// its central_crop(). Values have ImageNet's means and deviations taken out. Only names are held
/// in memory; files must not change during a run.
class image_folder final : public image_set {
 public:
  /// Looks at all files on so many threads, at least 1. Uses
  /// data.{paths,held_out,image_size,bad_files}. Throws usage_error for a folder that is missing,
  /// unreadable or without usable images in some class.
  image_folder(const config& c, std::size_t threads, data_use use = data_use::all);

  data_shape shape() const override;
  const std::vector<std::int32_t>& labels(image_part part) const override {
    return of(part).labels;
  }
  bool write(image_part part, std::size_t index, random_generator* augmentation,
             float* values) const override;
  std::vector<std::string> notes() const override { return bad_.notes(files_); }
  bool is_slow() const override { return true; }

 private:
  struct part_data {
    std::string folder;
    std::vector<std::string> names;  // of the files, from there
    std::vector<std::int32_t> labels;

    std::string path(std::size_t index) const { return folder + "/" + names[index]; }
  };

  const part_data& of(image_part part) const {
    return part == image_part::training ? training_ : held_out_;
  }
  part_data find(const std::string& folder);
  void leave_out_bad_files(part_data& part, std::size_t threads);
  void hold_out(double share);
  void check_classes(const part_data& part, std::size_t at_least) const;

  std::int64_t size_;
  std::vector<std::string> classes_;
  std::size_t files_ = 0;  // found, bad ones included
  part_data training_;
  part_data held_out_;
  mutable bad_files bad_;
};

}  // namespace rubato
