"""Add-ons, by boto3."""

import json
import unittest

from sandbox_process import SandboxTest

AGENT = {"clusterName": "demo", "addonName": "eks-pod-identity-agent"}


class Addons(SandboxTest):
    def statuses(self, count, **where):
        return [self.eks.describe_addon(**(where or AGENT))["addon"]["status"] for _ in range(count)]

    def behave(self, addon="eks-pod-identity-agent", **behaviour):
        self.sandbox.control("POST", "seed", {"clusters": [{"name": "demo", "addon_behaviour": {addon: behaviour}}]})

    def test_life_of_the_agent(self):
        created = self.eks.create_addon(**AGENT, tags={"team": "platform"})["addon"]
        self.assertEqual((created["status"], created["addonVersion"]), ("CREATING", "v1.3.8-eksbuild.2"))
        self.assertRegex(created["addonArn"], r"^arn:aws:eks:us-east-1:123456789012:addon/demo/eks-pod-identity-agent/[0-9a-f-]{36}$")
        self.assertEqual(self.statuses(3), ["CREATING", "ACTIVE", "ACTIVE"])
        self.assertFails("ResourceInUseException", "Addon already exists.", self.eks.create_addon, **AGENT, status=409)
        values = json.dumps({"agent": {"additionalArgs": {"-b": "169.254.170.23"}}})
        update = self.eks.update_addon(**AGENT, addonVersion="v1.3.10-eksbuild.2", configurationValues=values, resolveConflicts="OVERWRITE")["update"]
        self.assertEqual((update["status"], update["type"]), ("InProgress", "AddonUpdate"))
        self.assertFails("ResourceInUseException", "UPDATING", self.eks.update_addon, **AGENT, addonVersion="v1.3.9-eksbuild.3")
        where = {"name": "demo", "addonName": AGENT["addonName"]}
        seen = [self.eks.describe_update(updateId=update["id"], **where)["update"]["status"] for _ in range(2)]
        self.assertEqual(seen, ["InProgress", "Successful"])
        self.assertEqual(self.eks.list_updates(**where)["updateIds"], [update["id"]])
        addon = self.eks.describe_addon(**AGENT)["addon"]
        self.assertEqual((addon["addonVersion"], addon["configurationValues"]), ("v1.3.10-eksbuild.2", values))
        self.assertEqual(addon["tags"], {"team": "platform"})
        self.assertEqual(self.eks.list_addons(clusterName="demo")["addons"], ["eks-pod-identity-agent"])
        self.assertEqual(self.eks.delete_addon(**AGENT)["addon"]["status"], "DELETING")
        self.assertEqual(self.statuses(1), ["DELETING"])
        self.assertFails("ResourceNotFoundException", "No addon: eks-pod-identity-agent found in cluster: demo", self.eks.describe_addon, **AGENT, status=404)

    def test_validation(self):
        create = self.eks.create_addon
        self.assertFails(
            "InvalidParameterException", "not in valid YAML or JSON format", create, clusterName="nowhere", addonName="x", configurationValues="{: - }", status=400
        )
        self.assertFails("ResourceNotFoundException", "No cluster found", create, clusterName="nowhere", addonName="x")
        self.assertFails("InvalidParameterException", "Addon specified is not supported", create, clusterName="demo", addonName="x")
        self.assertFails("InvalidParameterException", "Addon version specified is not supported", create, **AGENT, addonVersion="v9.9.9-eksbuild.1")
        self.assertFails("InvalidParameterException", "Addon version specified is not supported", create, **AGENT, addonVersion="v1.0.0-eksbuild.1")
        response = self.assertFails(
            "InvalidParameterException", "$.agnet: is not defined in the schema", create, **AGENT, configurationValues="agnet: {}"
        )
        self.assertIn("ConfigurationValue provided in request is not supported", response["Error"]["Message"])
        yaml = "agent:\n  additionalArgs:\n    -b: 169.254.170.23\n"
        self.assertEqual(create(**AGENT, configurationValues=yaml)["addon"]["configurationValues"], yaml)

    def test_versions(self):
        describe = self.eks.describe_addon_versions
        addons = describe(addonName="eks-pod-identity-agent", kubernetesVersion="1.33")["addons"]
        self.assertEqual(len(addons), 1)
        versions = addons[0]["addonVersions"]
        self.assertEqual(versions[0]["addonVersion"], "v1.3.10-eksbuild.2")
        self.assertTrue(all([c["clusterVersion"] for c in v["compatibilities"]] == ["1.33"] for v in versions))
        defaults = [v["addonVersion"] for v in versions if v["compatibilities"][0]["defaultVersion"]]
        self.assertEqual(defaults, ["v1.3.8-eksbuild.2"])
        self.assertEqual(describe(addonName="nothing")["addons"], [])
        pages = list(self.eks.get_paginator("describe_addon_versions").paginate(PaginationConfig={"PageSize": 1}))
        names = [addon["addonName"] for page in pages for addon in page["addons"]]
        self.assertEqual(len(pages), len(set(names)))
        self.assertIn("vpc-cni", names)
        self.assertEqual([a["addonName"] for a in describe(types=["storage"])["addons"]], ["aws-ebs-csi-driver"])
        self.sandbox.control(
            "POST", "seed", {"addon_versions": [{"addon": "eks-pod-identity-agent", "version": "v1.4.0-eksbuild.1", "compatibilities": {"1.33": True}}]}
        )
        versions = describe(addonName="eks-pod-identity-agent", kubernetesVersion="1.33")["addons"][0]["addonVersions"]
        self.assertEqual([v["addonVersion"] for v in versions if v["compatibilities"][0]["defaultVersion"]], ["v1.4.0-eksbuild.1"])

    def test_configuration_schema(self):
        answer = self.eks.describe_addon_configuration(addonName="eks-pod-identity-agent", addonVersion="v1.3.8-eksbuild.2")
        schema = json.loads(answer["configurationSchema"])
        self.assertIn("agent", schema["definitions"]["Root"]["properties"])
        self.assertEqual(answer["podIdentityConfiguration"], [])
        answer = self.eks.describe_addon_configuration(addonName="vpc-cni", addonVersion="v1.19.5-eksbuild.1")
        self.assertEqual(answer["podIdentityConfiguration"][0]["serviceAccount"], "aws-node")
        self.assertFails("ResourceNotFoundException", "", self.eks.describe_addon_configuration, addonName="vpc-cni", addonVersion="v0")

    def test_degraded_and_failed(self):
        issue = {"code": "InsufficientNumberOfReplicas", "message": "The add-on is unhealthy because it doesn't have the desired number of replicas.", "resourceIds": ["ds/eks-pod-identity-agent"]}
        self.behave(create=[{"status": "CREATING", "describes": 1}, {"status": "DEGRADED", "describes": 1, "issues": [issue]}, {"status": "ACTIVE"}])
        self.eks.create_addon(**AGENT)
        self.assertEqual(self.statuses(1), ["CREATING"])
        addon = self.eks.describe_addon(**AGENT)["addon"]
        self.assertEqual((addon["status"], addon["health"]["issues"]), ("DEGRADED", [issue]))
        self.assertEqual(self.statuses(1), ["ACTIVE"])
        error = {"errorCode": "ConfigurationConflict", "errorMessage": "Conflicts found", "resourceIds": ["x"]}
        self.behave(update=[{"status": "UPDATING", "describes": 1}, {"status": "UPDATE_FAILED"}], update_result="Failed", update_errors=[error])
        update = self.eks.update_addon(**AGENT, addonVersion="v1.3.10-eksbuild.2")["update"]
        self.assertEqual(self.statuses(2), ["UPDATING", "UPDATE_FAILED"])
        found = self.eks.describe_update(name="demo", updateId=update["id"], addonName=AGENT["addonName"])["update"]
        self.assertEqual((found["status"], found["errors"]), ("Failed", [error]))
        self.assertEqual(self.eks.describe_addon(**AGENT)["addon"]["addonVersion"], "v1.3.8-eksbuild.2")
        self.behave(create=[{"status": "CREATE_FAILED", "issues": [issue]}], delete=[])
        self.eks.delete_addon(**AGENT)
        self.eks.create_addon(**AGENT)
        self.assertEqual(self.statuses(2), ["CREATE_FAILED", "CREATE_FAILED"])

    def test_owned_associations(self):
        role, other = self.role("cni"), self.role("cni2")
        where = {"clusterName": "demo", "addonName": "vpc-cni"}
        pairs = [{"serviceAccount": "aws-node", "roleArn": role}]
        self.assertFails("InvalidParameterException", "Pod Identity feature is not supported", self.eks.create_addon, **AGENT, podIdentityAssociations=pairs)
        wrong = [{"serviceAccount": "nobody", "roleArn": role}]
        self.assertFails("InvalidParameterException", "Service account nobody is not supported", self.eks.create_addon, **where, podIdentityAssociations=wrong)
        standalone = self.associate("aws-node", namespace="kube-system", roleArn=role)["associationId"]
        self.assertFails("ResourceInUseException", standalone, self.eks.create_addon, **where, podIdentityAssociations=pairs)
        self.eks.delete_pod_identity_association(clusterName="demo", associationId=standalone)
        addon = self.eks.create_addon(**where, podIdentityAssociations=pairs)["addon"]
        (arn,) = addon["podIdentityAssociations"]
        owned = {"clusterName": "demo", "associationId": arn.rsplit("/", 1)[1]}
        self.assertEqual(self.eks.describe_pod_identity_association(**owned)["association"]["ownerArn"], addon["addonArn"])
        self.assertFails("InvalidRequestException", "owned by", self.eks.delete_pod_identity_association, **owned)
        self.assertFails("InvalidRequestException", "owned by", self.eks.update_pod_identity_association, roleArn=other, **owned)
        self.statuses(2, **where)
        self.eks.update_addon(**where, podIdentityAssociations=[{"serviceAccount": "aws-node", "roleArn": other}])
        self.statuses(2, **where)
        self.assertEqual(self.eks.describe_pod_identity_association(**owned)["association"]["roleArn"], other)
        self.eks.update_addon(**where)
        self.statuses(2, **where)
        self.assertEqual(len(self.eks.describe_addon(**where)["addon"]["podIdentityAssociations"]), 1, "left out, the list stays")
        self.eks.update_addon(**where, podIdentityAssociations=[])
        self.statuses(2, **where)
        self.assertNotIn("podIdentityAssociations", self.eks.describe_addon(**where)["addon"])

    def test_auto_mode_cluster(self):
        self.sandbox.control("POST", "seed", {"clusters": [{"name": "auto", "auto_mode": True, "version": "1.34"}]})
        cluster = self.eks.describe_cluster(name="auto")["cluster"]
        self.assertTrue(cluster["computeConfig"]["enabled"])
        self.assertEqual(cluster["version"], "1.34")


if __name__ == "__main__":
    unittest.main()
