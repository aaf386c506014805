"""Pod Identity associations, by boto3."""

import concurrent.futures
import json
import unittest

from sandbox_process import SandboxTest, trust

POLICY = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]})


class Associations(SandboxTest):
    def test_life_of_an_association(self):
        role = self.role()
        created = self.associate(tags={"team": "payments"})
        self.assertRegex(created["associationId"], r"^a-[0-9a-z]{17}$")
        self.assertEqual(
            created["associationArn"],
            f"arn:aws:eks:us-east-1:123456789012:podidentityassociation/demo/{created['associationId']}",
        )
        self.assertNotIn("externalId", created)
        where = {"clusterName": "demo", "associationId": created["associationId"]}
        self.assertEqual(self.eks.describe_pod_identity_association(**where)["association"], created)
        summary = self.eks.list_pod_identity_associations(clusterName="demo")["associations"][0]
        self.assertEqual(set(summary), {"clusterName", "namespace", "serviceAccount", "associationArn", "associationId"})
        target = "arn:aws:iam::444455556666:role/target"
        updated = self.eks.update_pod_identity_association(targetRoleArn=target, **where)["association"]
        self.assertEqual(updated["targetRoleArn"], target)
        self.assertEqual(updated["externalId"], "us-east-1/123456789012/demo/payments/api")
        self.assertEqual(updated["roleArn"], role)
        self.assertGreater(updated["modifiedAt"], updated["createdAt"])
        updated = self.eks.update_pod_identity_association(roleArn=role, **where)["association"]
        self.assertEqual(updated["targetRoleArn"], target, "what is left out stays")
        updated = self.eks.update_pod_identity_association(targetRoleArn="", **where)["association"]
        self.assertNotIn("targetRoleArn", updated)
        self.assertNotIn("externalId", updated)
        self.eks.delete_pod_identity_association(**where)
        self.assertFails("ResourceNotFoundException", "", self.eks.describe_pod_identity_association, **where, status=404)
        self.assertFails("ResourceNotFoundException", "", self.eks.delete_pod_identity_association, **where, status=404)

    def test_session_policy(self):
        self.role()
        self.assertFails(
            "InvalidParameterException", "When policy is specified, disableSessionTags must be set to true", self.associate, policy=POLICY, status=400
        )
        self.assertFails("InvalidParameterException", "JSON", self.associate, policy="{", disableSessionTags=True)
        self.assertFails("InvalidParameterException", "2048", self.associate, policy=POLICY + " " * 2048, disableSessionTags=True)
        principal = POLICY.replace('"Action"', '"Principal": "*", "Action"')
        self.assertFails("InvalidParameterException", "policy is not valid", self.associate, policy=principal, disableSessionTags=True)
        created = self.associate(policy=POLICY, disableSessionTags=True)
        where = {"clusterName": "demo", "associationId": created["associationId"]}
        update = self.eks.update_pod_identity_association
        self.assertFails("InvalidParameterException", "When policy is specified", update, disableSessionTags=False, **where)
        updated = update(policy="", disableSessionTags=False, **where)["association"]
        self.assertNotIn("policy", updated)
        self.assertFalse(updated["disableSessionTags"])

    def test_validation_comes_in_order(self):
        missing = {"clusterName": "nowhere"}
        self.assertFails("InvalidParameterException", "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", self.associate, namespace="Bad_NS", **missing)
        self.assertFails("InvalidParameterException", "The parameter serviceAccount contains invalid characters", self.associate, "bad name!", **missing)
        self.assertFails("InvalidParameterException", "63", self.associate, namespace="n" * 64, **missing)
        foreign = "arn:aws:iam::210987654321:role/x"
        self.assertFails("AccessDeniedException", "Cross-account pass role is not allowed.", self.associate, roleArn=foreign, **missing, status=403)
        self.assertFails("InvalidParameterException", "not valid", self.associate, roleArn="arn:aws:iam::123456789012:user/x", **missing)
        self.assertFails("ResourceNotFoundException", "No cluster found for name: nowhere.", self.associate, **missing, status=404)
        self.assertFails("InvalidParameterException", "Role provided in the request does not exist.", self.associate)
        self.role("half", AssumeRolePolicyDocument=trust(["sts:AssumeRole"]))
        half = "arn:aws:iam::123456789012:role/half"
        self.assertFails("InvalidParameterException", "Trust policy of the role provided is invalid.", self.associate, roleArn=half)
        self.role()
        first = self.associate()
        self.assertFails("ResourceInUseException", f"Association already exists: {first['associationId']}", self.associate, status=409)
        where = {"clusterName": "demo", "associationId": first["associationId"]}
        self.assertFails("InvalidParameterException", "At least one", self.eks.update_pod_identity_association, **where)
        self.assertFails("InvalidParameterException", "reserved", self.associate, "other", tags={"aws:x": "y"})

    def test_idempotency_tokens(self):
        self.role()
        first = self.associate(clientRequestToken="t-1")
        self.assertEqual(self.associate(clientRequestToken="t-1"), first)
        self.assertFails("InvalidRequestException", "already been used", self.associate, "other", clientRequestToken="t-1", status=400)
        self.eks.delete_pod_identity_association(clusterName="demo", associationId=first["associationId"])
        again = self.associate(clientRequestToken="t-1")
        self.assertNotEqual(again["associationId"], first["associationId"], "what is gone is made anew")

    def test_pages(self):
        self.sandbox.control(
            "POST",
            "seed",
            {"clusters": [{"name": "demo", "associations": [
                {"namespace": f"ns-{n % 2}", "service_account": f"sa-{n}", "role_arn": "arn:aws:iam::123456789012:role/x"} for n in range(230)
            ]}]},
        )
        pages = list(self.eks.get_paginator("list_pod_identity_associations").paginate(clusterName="demo"))
        self.assertEqual([len(page["associations"]) for page in pages], [100, 100, 30])
        accounts = [item["serviceAccount"] for page in pages for item in page["associations"]]
        self.assertEqual(sorted(accounts), sorted(f"sa-{n}" for n in range(230)))
        half = self.eks.get_paginator("list_pod_identity_associations").paginate(clusterName="demo", namespace="ns-1")
        self.assertEqual(sum(len(page["associations"]) for page in half), 115)
        one = self.eks.list_pod_identity_associations(clusterName="demo", namespace="ns-1", serviceAccount="sa-1")
        self.assertEqual(len(one["associations"]), 1)
        listing = self.eks.list_pod_identity_associations
        token = listing(clusterName="demo", maxResults=10)["nextToken"]
        self.assertFails("InvalidParameterException", "nextToken", listing, clusterName="demo", nextToken="bogus", status=400)
        self.assertFails("InvalidParameterException", "nextToken", listing, clusterName="demo", namespace="ns-0", nextToken=token)
        for size in (0, 101):
            self.assertFails("InvalidParameterException", "maxResults", listing, clusterName="demo", maxResults=size)

    def test_tags(self):
        self.role()
        arn = self.associate(tags={"a": "1"})["associationArn"]
        self.eks.tag_resource(resourceArn=arn, tags={"b": "", "a": "2"})
        self.assertEqual(self.eks.list_tags_for_resource(resourceArn=arn)["tags"], {"a": "2", "b": ""})
        self.eks.untag_resource(resourceArn=arn, tagKeys=["a", "c d"])
        self.assertEqual(self.eks.list_tags_for_resource(resourceArn=arn)["tags"], {"b": ""})
        self.assertFails("BadRequestException", "50", self.eks.tag_resource, resourceArn=arn, tags={f"k{n}": "v" for n in range(50)}, status=400)
        gone = arn[:-1] + ("0" if arn[-1] != "0" else "1")
        self.assertFails("NotFoundException", "", self.eks.tag_resource, resourceArn=gone, tags={"a": "b"}, status=404)
        cluster = self.eks.describe_cluster(name="demo")["cluster"]["arn"]
        self.eks.tag_resource(resourceArn=cluster, tags={"env": "test"})
        self.assertEqual(self.eks.describe_cluster(name="demo")["cluster"]["tags"], {"env": "test"})

    def test_accounts_and_regions_are_apart(self):
        self.assertEqual(self.eks.list_clusters()["clusters"], ["demo"])
        self.assertEqual(self.client("eks", region="eu-west-1").list_clusters()["clusters"], [])
        self.assertEqual(self.client("eks", key="test2").list_clusters()["clusters"], [])
        self.sandbox.control("POST", "seed", {"clusters": [{"name": "eu", "region": "eu-west-1"}, {"name": "other", "account_id": "210987654321"}]})
        europe = self.client("eks", region="eu-west-1")
        self.assertEqual(europe.describe_cluster(name="eu")["cluster"]["arn"], "arn:aws:eks:eu-west-1:123456789012:cluster/eu")
        self.assertEqual(self.client("eks", key="test2").list_clusters()["clusters"], ["other"])

    def test_a_cluster_that_is_not_active(self):
        self.role()
        self.sandbox.control("POST", "seed", {"clusters": [{"name": "demo", "status": "CREATING"}]})
        self.assertFails("InvalidRequestException", "not in ACTIVE status", self.associate)
        self.assertFails("InvalidRequestException", "not in ACTIVE status", self.eks.create_addon, clusterName="demo", addonName="vpc-cni")

    def test_many_at_once(self):
        self.role()
        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            made = list(pool.map(lambda n: self.associate(f"sa-{n}")["associationId"], range(60)))
        self.assertEqual(len(set(made)), 60)
        self.assertEqual(len(self.eks.list_pod_identity_associations(clusterName="demo")["associations"]), 60)

    def test_visibility_by_looks(self):
        self.role()
        self.sandbox.control("POST", "faults", {"visibility": {"role_calls": 2, "trust_calls": 1}})
        for _ in range(2):
            self.assertFails("InvalidParameterException", "Role provided in the request does not exist.", self.associate)
        self.assertFails("InvalidParameterException", "Trust policy of the role provided is invalid.", self.associate)
        self.associate()
        self.iam.update_assume_role_policy(RoleName="payments", PolicyDocument=trust(["sts:AssumeRole"]))
        self.associate("stale")
        self.assertFails("InvalidParameterException", "Trust policy of the role provided is invalid.", self.associate, "fresh")


if __name__ == "__main__":
    unittest.main()
