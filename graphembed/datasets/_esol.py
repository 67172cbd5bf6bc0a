"""ESOL: molecules and their solubility in water, as graphs of atoms and bonds."""

import csv
from typing import Any

import numpy as np

from graphembed._validation import import_optional
from graphembed.datasets._dataset import GraphDataset, GraphSample
from graphembed.datasets._fetch import fetch
from graphembed.datasets._registry import registry
from graphembed.exceptions import FileFormatError

_TARGET, _SMILES = "measured log solubility in mols per litre", "smiles"

# Where a feature is the place in one of these tuples, the places are those of PyTorch Geometric's
# `from_smiles`, and through it of MoleculeNet's usual models.
_CHIRALITY = (
    "CHI_UNSPECIFIED",
    "CHI_TETRAHEDRAL_CW",
    "CHI_TETRAHEDRAL_CCW",
    "CHI_OTHER",
    "CHI_TETRAHEDRAL",
    "CHI_ALLENE",
    "CHI_SQUAREPLANAR",
    "CHI_TRIGONALBIPYRAMIDAL",
    "CHI_OCTAHEDRAL",
)
_HYBRIDIZATION = ("UNSPECIFIED", "S", "SP", "SP2", "SP3", "SP3D", "SP3D2", "OTHER")
_BOND_TYPE = (
    "UNSPECIFIED",
    "SINGLE",
    "DOUBLE",
    "TRIPLE",
    "QUADRUPLE",
    "QUINTUPLE",
    "HEXTUPLE",
    "ONEANDAHALF",
    "TWOANDAHALF",
    "THREEANDAHALF",
    "FOURANDAHALF",
    "FIVEANDAHALF",
    "AROMATIC",
    "IONIC",
    "HYDROGEN",
    "THREECENTER",
    "DATIVEONE",
    "DATIVE",
    "DATIVEL",
    "DATIVER",
    "OTHER",
    "ZERO",
)
_STEREO = (
    "STEREONONE",
    "STEREOANY",
    "STEREOZ",
    "STEREOE",
    "STEREOCIS",
    "STEREOTRANS",
)
_LOWEST_CHARGE = -5


def load_esol(*, download: bool = True) -> GraphDataset:
    """Load 1,128 molecules and their measured solubility (Delaney 2004). Needs rdkit.

    Parameters
    ----------
    download : bool, default=True
        Download the file (0.1 MB) if it is neither under GRAPHEMBED_DATA nor in the user cache.

    Returns
    -------
    GraphDataset
        One graph per molecule, hydrogens left out. ``x`` has 9 columns of int64: atomic number,
        chirality, degree, formal charge + 5, number of hydrogens, of radical electrons,
        hybridization, aromatic, in a ring. ``edge_attr`` has 3: type of bond, stereo, conjugated.
        ``y`` is the logarithm of the solubility in mols per litre, and ``name`` the SMILES.

    Raises
    ------
    ImportError
        If rdkit is not installed.
    DatasetNotFoundError
        If the file is not on this machine and `download` is False.
    DownloadError
        If the download fails.
    FileFormatError
        If the file found is not the one of the registry.
    """
    entry = registry()["esol"]
    (content,) = fetch(entry, download=download).values()
    return read_esol(content, name=entry.name, description=entry.description)


def read_esol(content: bytes, *, name: str, description: str) -> GraphDataset:
    """Turn the bytes of the table into a dataset."""
    rows = csv.DictReader(content.decode("utf-8").splitlines())
    if not {_TARGET, _SMILES} <= set(rows.fieldnames or ()):
        raise FileFormatError(f"{name}: the table must have the columns {_TARGET} and {_SMILES}")
    graphs = []
    for row in rows:
        smiles, target = row[_SMILES], row[_TARGET]
        try:
            graphs.append(molecule(smiles.strip(), float(target)))
        except (TypeError, ValueError, AttributeError) as error:
            raise FileFormatError(f"{name}: line {rows.line_num}: {error}") from error
    return GraphDataset(name, tuple(graphs), description)


def molecule(smiles: str, y: float) -> GraphSample:
    """Make a graph of a molecule; arcs are sorted by source, then target."""
    rdkit = import_optional("rdkit.rdBase", extra="molecules")
    chem = import_optional("rdkit.Chem", extra="molecules")
    with rdkit.BlockLogs():
        found = chem.MolFromSmiles(smiles)
    if found is None:
        raise ValueError(f"rdkit cannot read the SMILES {smiles!r}")
    x = np.array([_atom(atom) for atom in found.GetAtoms()], dtype=np.int64).reshape(-1, 9)
    arcs = []
    for bond in found.GetBonds():
        a, b, features = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), _bond(bond)
        arcs += [(a, b, *features), (b, a, *features)]
    table = np.array(sorted(arcs), dtype=np.int64).reshape(-1, 5)
    edge_index = np.ascontiguousarray(table[:, :2].T)
    return GraphSample(x, edge_index, np.ascontiguousarray(table[:, 2:]), y, smiles)


def _atom(atom: Any) -> list[int]:
    return [
        atom.GetAtomicNum(),
        _CHIRALITY.index(str(atom.GetChiralTag())),
        atom.GetTotalDegree(),
        atom.GetFormalCharge() - _LOWEST_CHARGE,
        atom.GetTotalNumHs(),
        atom.GetNumRadicalElectrons(),
        _HYBRIDIZATION.index(str(atom.GetHybridization())),
        int(atom.GetIsAromatic()),
        int(atom.IsInRing()),
    ]


def _bond(bond: Any) -> list[int]:
    return [
        _BOND_TYPE.index(str(bond.GetBondType())),
        _STEREO.index(str(bond.GetStereo())),
        int(bond.GetIsConjugated()),
    ]
