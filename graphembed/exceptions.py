"""Errors that name what is wrong with a user's graph, file or dataset."""


class GraphFormatError(ValueError):
    """The object handed over as a graph cannot be read as one."""


class FileFormatError(ValueError):
    """A saved graph or model is damaged, foreign, or of a newer format."""


class DatasetNotFoundError(FileNotFoundError):
    """A dataset's file is neither on disk nor may it be downloaded."""


class DownloadError(OSError):
    """A download failed, was too large, or did not have the expected checksum."""
