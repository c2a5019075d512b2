"""What a file or directory parameter may point at, and what Azure is told of it."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.contract.target import Location, Problem
from penstock.errors import TargetRefused
from penstock_azureml import datastores
from penstock_azureml.client import connect
from penstock_azureml.locations import input_type, resolve_location
from penstock_azureml.options import AzuremlOptions

SAS = "sv=2021-08-06&sig=a%2Fb/c"
ADDRESSES = ["https://acme.blob.core.windows.net/c/d", "wasbs://c@acme.blob.core.windows.net/d",
             "abfss://c@acme.dfs.core.windows.net/d", "azureml://datastores/store/paths/d",
             "azureml://subscriptions/s/resourcegroups/g/workspaces/w/datastores/store/paths/versions/1"]  # fmt: skip
ASSETS = ["azureml:digits:1", "azureml:digits:2026-01.a", "azureml://registries/acme/data/digits/versions/1",
          "azureml:/subscriptions/s/resourceGroups/g/providers/p/workspaces/w/data/digits/versions/1",
          "azureml://locations/westeurope/workspaces/w/data/digits/versions/1",
          "azureml://subscriptions/s/resourcegroups/g/workspaces/w/data/digits/versions/1"]  # fmt: skip


def resolved(text, kind):
    return resolve_location(Location(parameter="table", type=kind, text=text))


@given(st.sampled_from(ADDRESSES), st.sampled_from(["", "/", "//"]), st.sampled_from(["", f"?{SAS}", "?"]))
@example("https://acme.blob.core.windows.net/c/d", "", f"?{SAS}")
def test_what_an_address_is_stands_at_the_end_of_its_path(address, slashes, query):
    for kind, ends, told in (("file", "", "uri_file"), ("directory", "/", "uri_folder")):
        uri = resolved(f"{address}{slashes}{query}", kind)
        assert uri == f"{address}{ends}{query}"
        assert input_type(uri) == told
        assert resolved(uri, kind) == uri


@pytest.mark.parametrize("asset", ASSETS)
@pytest.mark.parametrize("kind", ["file", "directory"])
def test_an_asset_stays_as_it_is(asset, kind):
    assert resolved(asset, kind) == asset
    assert input_type(asset) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("azureml:digits@latest", "write `azureml:digits:VERSION`"),
        ("azureml:digits", "write `azureml:digits:VERSION`"),
        ("gs://a/b", "not gs://"),
        ("/etc/hostname", "copy it to a datastore"),
        ("https://acme.test/a b", "it holds ' ', which no URI has"),
        ("https://acme.test/a\nb", "it holds '\\n', which no URI has"),
        ("https://", "it names no place"),
        ("https:///?sig=x", "it names no place"),
    ],
)
def test_what_cannot_be_read_is_said_with_what_to_write(text, says):
    found = resolved(text, "file")
    assert isinstance(found, Problem) and (found.code, found.path) == ("location_unsupported", ("parameters", "table"))
    assert says in found.message and "\n" not in found.message


def test_a_datastore_of_another_workspace_is_not_this_one_s(target):
    options = AzuremlOptions(**{key: value for key, value in target.items() if key != "backend"})
    azure = connect(options)
    uri = datastores.write(azure, "tests/here", b"here")
    path = uri.removeprefix("azureml:/")
    for where in (options.path, options.path.replace("providers/Microsoft.MachineLearningServices/", "").upper()):
        assert datastores.read(azure, f"azureml:/{where}{path}", 9) == b"here"
    other = options.path.replace(f"workspaces/{options.workspace}", "workspaces/other")
    with pytest.raises(TargetRefused, match="in another workspace"):
        datastores.read(azure, f"azureml:/{other}{path}", 9)
