"""Reading NIfTI: right voxels and geometry from sound files, one clear line for every kind of damage."""

from __future__ import annotations

import gzip
import struct

import nibabel as nib
import numpy as np
import pytest

from clbench.data.case import Case
from clbench.data.nifti import channel_count, read_case, read_mask, read_truth, read_volume
from clbench.errors import InputError


def case_of(image_file, mask_file, **changes):
    images = image_file if isinstance(image_file, tuple) else (image_file,)
    return Case("a", "a", images, mask_file, **{"label_values": {0: 0, 1: 1, 2: 2}, **changes})


def header_bytes(path):
    """The uncompressed content of a file, to be damaged."""
    return bytearray(gzip.decompress(path.read_bytes()))


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64", ">f4"])
def test_voxels_and_geometry_are_read_as_nibabel_reads_them(tmp_path, write_nifti, image, name, kind, dtype):
    affine = np.array([[0, -0.625, 0, 10], [0.625, 0, 0, -3], [0, 0, 3.6, 1], [0, 0, 0, 1.0]])
    path = write_nifti(tmp_path / name, image, affine, dtype=dtype, kind=kind)
    volume = read_volume(path)
    assert volume.array.dtype == np.float32
    np.testing.assert_array_equal(volume.array, nib.load(path).get_fdata())
    np.testing.assert_allclose(volume.affine, nib.load(path).affine)
    assert volume.spacing_mm == (0.625, 0.625, 3.6)


def test_slope_and_intercept_of_the_header_are_applied(tmp_path, image):
    stored = nib.Nifti1Image(image.astype(np.int16), np.eye(4))
    stored.header.set_slope_inter(0.5, 10)
    stored.to_filename(tmp_path / "a.nii")
    raw = bytearray((tmp_path / "a.nii").read_bytes())
    raw[112:120] = struct.pack("<ff", 0.5, 10.0)
    raw[352:] = image.astype("<i2").tobytes(order="F")
    (tmp_path / "a.nii").write_bytes(raw)
    np.testing.assert_array_equal(read_volume(tmp_path / "a.nii").array, image * 0.5 + 10)


def test_a_header_in_microns_gives_millimetres(tmp_path, image):
    stored = nib.Nifti1Image(image, np.diag([500.0, 500.0, 2000.0, 1.0]))
    stored.header.set_xyzt_units("micron")
    stored.to_filename(tmp_path / "a.nii.gz")
    volume = read_volume(tmp_path / "a.nii.gz")
    assert volume.spacing_mm == (0.5, 0.5, 2.0)
    np.testing.assert_allclose(volume.affine, np.diag([0.5, 0.5, 2.0, 1.0]))


def test_one_channel_of_a_4d_file_is_read(tmp_path, write_nifti, image):
    path = write_nifti(tmp_path / "a.nii.gz", np.stack([image, image + 1000], axis=-1))
    np.testing.assert_array_equal(read_volume(path, channel=1).array, image + 1000)
    with pytest.raises(InputError, match=r"channels 0 to 1, not channel 2"):
        read_volume(path, channel=2)
    with pytest.raises(InputError, match=r"\(4, 5, 6, 2\), expected three axes; choose"):
        read_volume(path)


def test_a_fourth_axis_of_length_one_is_dropped(tmp_path, write_nifti, image):
    assert read_volume(write_nifti(tmp_path / "a.nii.gz", image[..., None])).array.shape == (4, 5, 6)


def test_a_channel_of_a_3d_file_or_a_flat_image_is_refused(tmp_path, write_nifti, image):
    with pytest.raises(InputError, match="needs a fourth axis"):
        read_volume(write_nifti(tmp_path / "a.nii.gz", image), channel=0)
    with pytest.raises(InputError, match="expected three axes"):
        read_volume(write_nifti(tmp_path / "b.nii.gz", image[..., 0]))


def truncated(path):
    path.write_bytes(path.read_bytes()[:-40])


def header_only(path):
    path.write_bytes(gzip.compress(header_bytes(path)[:352]))


def zipped_but_short(path):
    path.write_bytes(gzip.compress(header_bytes(path)[:-100]))


def flipped_bit(path):
    content = bytearray(path.read_bytes())
    content[-6] ^= 1  # in the checksum: everything still unpacks
    path.write_bytes(content)


def text(path):
    path.write_text("<html>404 Not Found</html>")


def empty(path):
    path.write_bytes(b"")


def absurd_shape(path):
    content = header_bytes(path)
    content[42:48] = struct.pack("<hhh", 32767, 32767, 32767)
    path.write_bytes(gzip.compress(content))


def large_shape(path):
    content = header_bytes(path)
    content[42:48] = struct.pack("<hhh", 1024, 1024, 1024)
    path.write_bytes(gzip.compress(content))


def negative_shape(path):
    content = header_bytes(path)
    content[42:44] = struct.pack("<h", -4)
    path.write_bytes(gzip.compress(content))


def zero_spacing(path):
    content = header_bytes(path)
    content[80:84] = struct.pack("<f", 0.0)
    path.write_bytes(gzip.compress(content))


def flat_affine(path):
    content = header_bytes(path)
    content[280:296] = bytes(16)
    path.write_bytes(gzip.compress(content))


def folder(path):
    path.unlink()
    path.mkdir()


DAMAGE = {
    truncated: "truncated gzip|corrupt gzip",
    header_only: "truncated at 352 of",
    zipped_but_short: "truncated at",
    flipped_bit: "corrupt gzip",
    text: "not a single-file NIfTI",
    empty: "not a single-file NIfTI",
    absurd_shape: "more than 2147483648 voxels",
    large_shape: "truncated, its header promises",
    negative_shape: "empty shape",
    zero_spacing: "voxel spacing",
    flat_affine: "affine that cannot be inverted",
    folder: "is a folder",
}


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_damage_is_told_in_one_line_that_names_the_file(tmp_path, write_nifti, image, damage):
    path = write_nifti(tmp_path / "case.nii.gz", image)
    damage(path)
    with pytest.raises(InputError, match=DAMAGE[damage]) as error:
        read_volume(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.nii\.gz: no such file"):
        read_volume(tmp_path / "nowhere.nii.gz")


def test_a_plain_file_that_is_cut_is_refused(tmp_path, write_nifti, image):
    path = write_nifti(tmp_path / "a.nii", image)
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(InputError, match="truncated"):
        read_volume(path)


def test_complex_voxels_are_refused(tmp_path, write_nifti, image):
    with pytest.raises(InputError, match="complex64"):
        read_volume(write_nifti(tmp_path / "a.nii.gz", image, dtype="complex64"))


def test_any_damaged_header_byte_ends_in_an_input_error_or_a_volume(tmp_path, write_nifti, image):
    path = write_nifti(tmp_path / "a.nii", image)
    sound = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(300):
        content = bytearray(sound)
        for place in rng.integers(0, 348, size=3):
            content[place] = rng.integers(256)
        path.write_bytes(content)
        try:
            assert np.isfinite(read_volume(path).affine).all()
        except InputError as error:
            assert str(error).startswith(f"{path}: ")  # noqa: PT017 (either outcome is right)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_voxels_that_float32_cannot_hold_are_counted(tmp_path, write_nifti, image, value):
    broken = image.astype(np.float64)
    broken[1, 2, :3] = value
    with pytest.raises(InputError, match="3 voxels are NaN or infinite"):
        read_volume(write_nifti(tmp_path / "a.nii.gz", broken))


def test_a_float_mask_within_rounding_is_read_as_integers(tmp_path, write_nifti, mask):
    volume = read_mask(write_nifti(tmp_path / "a.nii.gz", mask + 9e-4, dtype="float32"))
    assert volume.array.dtype == np.int32
    assert volume.stored_dtype == np.float32
    np.testing.assert_array_equal(volume.array, mask)


def test_a_4d_mask_is_read_at_the_frame_of_its_case_and_a_3d_one_goes_with_every_channel(
    tmp_path, write_nifti, image, mask
):
    images = (write_nifti(tmp_path / "a.nii.gz", np.stack([image, -image], axis=-1)),)
    cine = write_nifti(tmp_path / "cine.nii.gz", np.stack([mask, 0 * mask], axis=-1))
    still = write_nifti(tmp_path / "still.nii.gz", mask)
    for channel, expected in ((0, mask), (1, 0 * mask)):
        raw = read_case(case_of(images, cine, channel=channel))
        np.testing.assert_array_equal(raw.mask, expected)
        np.testing.assert_array_equal(raw.image[0], image if channel == 0 else -image)
        np.testing.assert_array_equal(read_case(case_of(images, still, channel=channel)).mask, mask)


@pytest.mark.parametrize("changes", [{}, {"channel": 1}, {"crop": ((0, 4), (0, 4), (0, 3))}])
@pytest.mark.parametrize("affine", [np.eye(4), np.diag([-0.5, 0.7, 3.0, 1.0])])
def test_the_truth_is_that_of_the_case_and_needs_no_voxel_of_the_image(
    tmp_path, write_nifti, image, mask, changes, affine
):
    inner = np.zeros_like(mask)
    inner[2:4, 1:3, 1:2] = mask[2:4, 1:3, 1:2]
    voxels = np.stack([image, -image], axis=-1) if "channel" in changes else image
    path = write_nifti(tmp_path / "a.nii.gz", voxels, affine)
    case = case_of(path, write_nifti(tmp_path / "m.nii.gz", inner, affine), **changes)
    whole = read_case(case)
    path.write_bytes(gzip.compress(header_bytes(path)[:348] + b"broken"))
    truth = read_truth(case)
    np.testing.assert_array_equal(truth.mask, whole.mask)
    np.testing.assert_array_equal(truth.affine, whole.affine)
    assert truth.spacing_mm == whole.spacing_mm


def test_the_truth_of_a_case_on_two_grids_is_refused(tmp_path, write_nifti, image, mask):
    case = case_of(write_nifti(tmp_path / "a.nii.gz", image), write_nifti(tmp_path / "m.nii.gz", mask[1:]))
    with pytest.raises(InputError, match="put both on one grid"):
        read_truth(case)


def test_a_4d_mask_of_another_length_or_of_a_3d_image_is_refused(tmp_path, write_nifti, image, mask):
    images = (write_nifti(tmp_path / "a.nii.gz", np.stack([image] * 3, axis=-1)),)
    cine = write_nifti(tmp_path / "cine.nii.gz", np.stack([mask] * 2, axis=-1))
    with pytest.raises(InputError, match=r"cine\.nii\.gz: has 2 volumes, but a\.nii\.gz has 3"):
        read_case(case_of(images, cine, channel=0))
    with pytest.raises(InputError, match=r"cine\.nii\.gz: has the shape .*expected three axes"):
        read_case(case_of((write_nifti(tmp_path / "b.nii.gz", image),), cine))


@pytest.mark.parametrize(
    ("value", "message"), [(0.5, "not integers, such as 0.5"), (np.nan, "NaN"), (1e12, "no label")]
)
def test_a_mask_that_holds_no_labels_is_refused(tmp_path, write_nifti, mask, value, message):
    broken = mask.astype(np.float64)
    broken[0, 0, 0] = value
    with pytest.raises(InputError, match=message):
        read_mask(write_nifti(tmp_path / "a.nii.gz", broken))


def test_a_case_has_all_channels_and_the_streams_label_values(tmp_path, write_nifti, image, mask):
    files = (write_nifti(tmp_path / "a_0000.nii.gz", image), write_nifti(tmp_path / "a_0001.nii.gz", -image))
    case = case_of(files, write_nifti(tmp_path / "a.nii.gz", mask), label_values={0: 0, 1: 3, 2: 1})
    raw = read_case(case)
    assert channel_count(case) == len(raw.image) == 2
    np.testing.assert_array_equal(raw.image, np.stack([image, -image]))
    np.testing.assert_array_equal(raw.mask, np.array([0, 3, 1], dtype=np.uint8)[mask])
    assert (raw.image.dtype, raw.mask.dtype, raw.spacing_mm) == (np.float32, np.uint8, (1.0, 1.0, 2.0))


def test_the_images_geometry_wins_over_a_mask_header_that_differs_in_rounding(tmp_path, write_nifti, image, mask):
    affine = np.diag([0.6249998, 0.625, 3.6, 1.0])
    files = write_nifti(tmp_path / "a.nii.gz", image, affine), write_nifti(tmp_path / "m.nii.gz", mask, affine.round(2))
    np.testing.assert_allclose(read_case(case_of(*files)).affine, affine, rtol=1e-6)


def test_an_oblique_axis_that_rounding_tips_over_is_still_the_same_orientation(tmp_path, write_nifti, image, mask):
    def turned(degrees):
        angle = np.deg2rad(degrees)
        affine = np.eye(4)
        affine[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        return affine

    assert nib.aff2axcodes(turned(44.99)) != nib.aff2axcodes(turned(45.01))
    files = (
        write_nifti(tmp_path / "a.nii.gz", image, turned(44.99)),
        write_nifti(tmp_path / "m.nii.gz", mask, turned(45.01)),
    )
    assert read_case(case_of(*files)).mask.any()


def test_a_mask_in_another_orientation_is_refused(tmp_path, write_nifti, image, mask):
    files = (
        write_nifti(tmp_path / "a.nii.gz", image),
        write_nifti(tmp_path / "m.nii.gz", mask, np.diag([-1.0, 1, 2, 1])),
    )
    with pytest.raises(InputError, match=r"m\.nii\.gz: is oriented LAS, but a\.nii\.gz is RAS"):
        read_case(case_of(*files))


def test_a_mask_of_another_shape_is_refused(tmp_path, write_nifti, image, mask):
    files = write_nifti(tmp_path / "a.nii.gz", image), write_nifti(tmp_path / "m.nii.gz", mask[:, :, 1:])
    with pytest.raises(InputError, match=r"m\.nii\.gz: has the shape \(4, 5, 5\), but a\.nii\.gz has \(4, 5, 6\)"):
        read_case(case_of(*files))


def test_unknown_mask_values_are_listed_with_the_known_ones(tmp_path, write_nifti, image, mask):
    mask[0, 0, :2] = 7, 9
    files = write_nifti(tmp_path / "a.nii.gz", image), write_nifti(tmp_path / "m.nii.gz", mask)
    with pytest.raises(InputError, match=r"m\.nii\.gz: mask holds the unknown value 7, 9; known values: 0, 1, 2"):
        read_case(case_of(*files))


def test_a_negative_mask_value_is_no_label(tmp_path, write_nifti, image, mask):
    files = write_nifti(tmp_path / "a.nii.gz", image), write_nifti(tmp_path / "m.nii.gz", mask - 1.0)
    with pytest.raises(InputError, match="unknown value -1"):
        read_case(case_of(*files))
