// CIFAR-10 and CIFAR-100 in their binary versions. Not here: what is done with the images
// (stored_images).
#pragma once

#include <memory>

#include "data/data_use.hpp"
#include "data/images/image_set.hpp"

namespace rubato {

/// Reads the set that data.kind = "cifar10" or "cifar100" means, from the folder or files that
/// data.paths names. Of a folder, those of these names: data_batch_*.bin and test_batch.bin for
/// CIFAR-10, train.bin and test.bin for CIFAR-100. A file whose name begins with "test" is held
/// out, any other is trained on. The classes of CIFAR-100 are the 100 fine ones.
///
/// A file must be whole records, with labels that there are; a bad one is left out as a whole, if
/// data.bad_files allows it. To train alone what is held out is not read. Throws usage_error for
/// that, for paths that do not exist, and where nothing is left to train or to evaluate on.
std::unique_ptr<image_set> read_cifar(const config& c, data_use use = data_use::all);

}  // namespace rubato
