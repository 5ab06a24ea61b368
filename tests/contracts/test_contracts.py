"""Every class of every family keeps the family's promises."""

import pytest
from known_failures import KNOWN_FAILURES

import limbeck.associations
import limbeck.balancers
import limbeck.losses
import limbeck.mapping
import limbeck.outputs
import limbeck.projectors
import limbeck.schedules
import limbeck.similarity
import limbeck.targets
from catalogue import PROJECTED, TARGETED, built, classes, named, one_test_per_check, target_of
from limbeck import testing
from limbeck.testing.networks import conv_network, vision_transformer

LOSSES = built(limbeck.losses)
OUTPUTS = built(limbeck.outputs)
MAPPERS = [cls() for cls in classes(limbeck.mapping) if cls is not limbeck.mapping.Explicit]
SCHEDULES = built(limbeck.schedules)
PROJECTIONS = [(cls, link) for cls in classes(limbeck.projectors) for link in PROJECTED[cls.__name__]]
TARGETS = [(cls, link) for cls in classes(limbeck.targets) for link in TARGETED[cls.__name__]]


@pytest.mark.parametrize(("loss", "check"), one_test_per_check(LOSSES, testing.loss_checks))
def test_feature_loss_keeps_its_contract(loss, check):
    testing.run([check], loss)


@pytest.mark.parametrize(("loss", "check"), one_test_per_check(OUTPUTS, testing.output_checks))
def test_output_loss_keeps_its_contract(loss, check):
    testing.run([check], loss)


@pytest.mark.parametrize(("cls", "link"), PROJECTIONS, ids=named(PROJECTIONS))
def test_projector_keeps_its_contract(cls, link):
    testing.check_projector(cls.for_link(link), link)


@pytest.mark.parametrize(("cls", "link"), TARGETS, ids=named(TARGETS))
def test_target_keeps_its_contract(cls, link):
    testing.check_target(target_of(cls, link), link)


@pytest.mark.parametrize(
    ("make", "check"), one_test_per_check(classes(limbeck.balancers), lambda _: testing.BALANCER_CHECKS)
)
def test_balancer_keeps_its_contract(make, check):
    testing.run([check], make)


@pytest.mark.parametrize(("schedule", "check"), one_test_per_check(SCHEDULES, lambda _: testing.SCHEDULE_CHECKS))
def test_schedule_keeps_its_contract(schedule, check):
    testing.run([check], schedule)


@pytest.mark.parametrize(
    ("make", "check"), one_test_per_check(classes(limbeck.similarity), lambda _: testing.SIMILARITY_CHECKS)
)
def test_similarity_keeps_its_contract(make, check):
    testing.run([check], make)


@pytest.mark.parametrize("cls", classes(limbeck.associations))
def test_association_keeps_its_contract(cls):
    testing.check_association(cls)


@pytest.mark.parametrize("mapper", MAPPERS, ids=repr)
def test_mapper_keeps_its_contract(mapper):
    testing.check_mapper(mapper)


@pytest.mark.parametrize("links", [1, 2, 3, 8])
@pytest.mark.parametrize("name", ["SameDepth", "SameGrid", "BestMatch", "RandomOrder", "Reversed"])
def test_mapper_keeps_its_contract_for_any_number_of_links(name, links):
    testing.check_mapper(getattr(limbeck.mapping, name)(links=links))


def test_explicit_mapper_keeps_its_contract():
    mine, theirs = conv_network(1, 1, 1), vision_transformer(3)
    pairs = ((mine[0].site, theirs[2].site), (mine[2].site, theirs[0].site), (mine[2].site, theirs[2].site))
    testing.check_mapper(limbeck.mapping.Explicit(pairs=pairs), networks=[(mine, theirs)])


def test_every_projector_and_target_is_tried_on_some_link():
    assert set(PROJECTED) == {cls.__name__ for cls in classes(limbeck.projectors)}
    assert set(TARGETED) == {cls.__name__ for cls in classes(limbeck.targets)}


@pytest.mark.parametrize(
    "family",
    [
        limbeck.associations,
        limbeck.losses,
        limbeck.outputs,
        limbeck.projectors,
        limbeck.targets,
        limbeck.balancers,
        limbeck.schedules,
        limbeck.similarity,
        limbeck.mapping,
    ],
)
def test_catalogue_ends_with_the_contract_and_holds_nothing_else_abstract(family):
    contract = getattr(family, family.__all__[-1])
    assert contract.__module__ == f"{family.__name__}.family"
    methods = classes(family)
    assert len(methods) == len(family.__all__) - 1
    assert all(issubclass(each, contract) for each in methods)


@pytest.mark.compiled
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_feature_loss_compiles_as_one_graph(loss):
    testing.check_loss_compiles(loss)


@pytest.mark.compiled
@pytest.mark.parametrize("loss", [each for each in OUTPUTS if "student_loss" not in each.requires], ids=repr)
def test_output_loss_compiles_as_one_graph(loss):
    testing.check_output_compiles(loss)


@pytest.mark.compiled
@pytest.mark.parametrize(("cls", "link"), PROJECTIONS, ids=named(PROJECTIONS))
def test_projector_compiles_as_one_graph(cls, link):
    testing.check_projector_compiles(cls.for_link(link), link)


@pytest.mark.compiled
@pytest.mark.parametrize(("cls", "link"), TARGETS, ids=named(TARGETS))
def test_target_compiles_as_one_graph(cls, link):
    testing.check_target_compiles(target_of(cls, link), link)


def test_at_most_one_class_in_ten_has_a_known_failure():
    families = (limbeck.losses, limbeck.outputs, limbeck.projectors, limbeck.targets, limbeck.associations)
    families += (limbeck.balancers, limbeck.schedules, limbeck.similarity, limbeck.mapping)
    assert 10 * len(KNOWN_FAILURES) <= sum(len(classes(family)) for family in families)
    assert all(reason for failures in KNOWN_FAILURES.values() for reason in failures.values())


def test_known_failures_name_checks_that_exist():
    subjects = {type(each): testing.loss_checks(each) for each in LOSSES}
    subjects |= {type(each): testing.output_checks(each) for each in OUTPUTS}
    subjects |= dict.fromkeys(classes(limbeck.balancers), testing.BALANCER_CHECKS)
    for cls, failures in KNOWN_FAILURES.items():
        assert set(failures) <= {check.__name__ for check in subjects[cls]}
