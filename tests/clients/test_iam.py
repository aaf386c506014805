"""IAM of the sandbox, seen by boto3.

Every answer is held against botocore's service model while it passes through; see answer_check.
"""

import json
import re
import unittest
import urllib.parse

import botocore.exceptions

from sandbox_process import SandboxTest

S3 = "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "pods.eks.amazonaws.com"},
            "Action": ["sts:AssumeRole", "sts:TagSession"],
        }
    ],
}
POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}


def trusting(principal):
    return {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"}]}


class Iam(SandboxTest):
    maxDiff = None

    def setUp(self):
        super().setUp()
        self.account = self.sandbox.ready["account_id"]

    def arn(self, resource):
        return f"arn:aws:iam::{self.account}:{resource}"

    def role(self, name="app", **more):
        document = more.pop("trust", TRUST)
        return self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(document), **more)["Role"]

    def refuses(self, status, code, message, call, **arguments):
        with self.assertRaises(botocore.exceptions.ClientError) as raised:
            call(**arguments)
        response = raised.exception.response
        self.assertEqual(
            (response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"], response["Error"]["Message"], response["Error"]["Type"]),
            (status, code, message, "Sender"),
        )
        return raised.exception

    def test_a_role_through_its_life(self):
        created = self.role(
            "app",
            Path="/team/",
            Description="für <Tests> & more",
            MaxSessionDuration=7200,
            PermissionsBoundary=S3,
            Tags=[{"Key": "b", "Value": "1"}, {"Key": "a", "Value": ""}],
        )
        self.assertEqual(created["Arn"], self.arn("role/team/app"))
        self.assertRegex(created["RoleId"], "^AROA[A-Z0-9]{17}$")
        self.assertEqual(created["AssumeRolePolicyDocument"], TRUST)
        self.assertNotIn("MaxSessionDuration", created)
        self.assertNotIn("Description", created)
        self.assertEqual(created["Tags"], [{"Key": "b", "Value": "1"}, {"Key": "a", "Value": ""}])
        shown = self.iam.get_role(RoleName="app")["Role"]
        self.assertEqual(shown["Description"], "für <Tests> & more")
        self.assertEqual((shown["MaxSessionDuration"], shown["RoleLastUsed"]), (7200, {}))
        self.assertEqual(shown["Tags"], [{"Key": "a", "Value": ""}, {"Key": "b", "Value": "1"}])
        self.assertEqual(shown["PermissionsBoundary"], {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": S3})
        listed = self.iam.list_roles(PathPrefix="/team/")["Roles"]
        self.assertEqual([sorted(role) for role in listed], [["Arn", "AssumeRolePolicyDocument", "CreateDate", "Description", "MaxSessionDuration", "Path", "RoleId", "RoleName"]])
        self.iam.update_role(RoleName="app", Description="")
        self.iam.update_role(RoleName="app", MaxSessionDuration=3600)
        self.iam.delete_role_permissions_boundary(RoleName="app")
        shown = self.iam.get_role(RoleName="app")["Role"]
        self.assertEqual((shown.get("Description"), shown["MaxSessionDuration"], shown.get("PermissionsBoundary")), (None, 3600, None))
        self.iam.put_role_permissions_boundary(RoleName="app", PermissionsBoundary=S3)
        self.assertEqual(self.iam.update_role_description(RoleName="app", Description="again")["Role"]["Description"], "again")
        self.assertTrue(self.iam.get_waiter("role_exists").wait(RoleName="app") is None)
        self.iam.delete_role(RoleName="app")
        gone = self.refuses(404, "NoSuchEntity", "The role with name app cannot be found.", self.iam.get_role, RoleName="app")
        self.assertIsInstance(gone, self.iam.exceptions.NoSuchEntityException)
        again = self.role("app")
        self.assertNotEqual(again["RoleId"], created["RoleId"])

    def test_documents_are_percent_encoded(self):
        bodies = []
        self.iam.meta.events.register("before-parse.iam", lambda response_dict, **_: bodies.append(response_dict["body"].decode()))
        document = json.dumps(TRUST, indent=2)
        self.iam.create_role(RoleName="app", AssumeRolePolicyDocument=document)
        self.iam.get_role(RoleName="app")
        encoded = re.search("<AssumeRolePolicyDocument>(.*)</AssumeRolePolicyDocument>", bodies[-1]).group(1)
        self.assertEqual(encoded, urllib.parse.quote(document, safe="-._~"))

    def test_refused_trust_policies(self):
        statement = TRUST["Statement"][0]
        gone = self.arn("role/gone")
        for document, message in [
            ("{", "This policy contains invalid Json"),
            ('{"Version":"2012-10-17","Version":"2012-10-17","Statement":[]}', "This policy contains invalid Json"),
            ({**TRUST, "Statement": []}, "Could not parse the policy: Statement is empty!"),
            ({**TRUST, "Version": "2012"}, "The policy must contain a valid version string"),
            ({**TRUST, "Comment": "x"}, "Unknown field Comment"),
            ({**TRUST, "Statement": [{**statement, "Effect": "allow"}]}, "Invalid effect: allow"),
            ({**TRUST, "Statement": [{**statement, "Resource": "*"}]}, "Has prohibited field Resource"),
            ({**TRUST, "Statement": [{**statement, "Action": "s3:*"}]}, "AssumeRole policy may only specify STS AssumeRole actions."),
            ({**TRUST, "Statement": [{**statement, "Principal": {"Service": "*.eks.amazonaws.com"}}]}, 'Invalid principal in policy: "SERVICE":"*.eks.amazonaws.com"'),
            (trusting(gone), f'Invalid principal in policy: "AWS":"{gone}"'),
        ]:
            text = document if isinstance(document, str) else json.dumps(document)
            with self.subTest(message):
                self.refuses(400, "MalformedPolicyDocument", message, self.iam.create_role, RoleName="app", AssumeRolePolicyDocument=text)
        self.role("app")
        long = {**TRUST, "Statement": [{**statement, "Sid": "s" * 2048}]}
        self.refuses(409, "LimitExceeded", "Cannot exceed quota for ACLSizePerRole: 2048", self.iam.update_assume_role_policy, RoleName="app", PolicyDocument=json.dumps(long))
        self.assertEqual(self.iam.get_role(RoleName="app")["Role"]["AssumeRolePolicyDocument"], TRUST)

    def test_refused_parameters(self):
        trust = json.dumps(TRUST)
        prefix = "1 validation error detected: Value at "
        for arguments, code, message in [
            ({"RoleName": "r" * 65}, "ValidationError", f"{prefix}'roleName' failed to satisfy constraint: Member must have length less than or equal to 64"),
            ({"RoleName": "a b"}, "ValidationError", "The specified value for roleName is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-"),
            ({"Path": "x"}, "ValidationError", "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters."),
            ({"MaxSessionDuration": 60}, "ValidationError", f"{prefix}'maxSessionDuration' failed to satisfy constraint: Member must have value greater than or equal to 3600"),
            ({"Tags": [{"Key": f"k{n}", "Value": ""} for n in range(51)]}, "ValidationError", f"{prefix}'tags' failed to satisfy constraint: Member must have length less than or equal to 50"),
            ({"Tags": [{"Key": "a", "Value": ""}, {"Key": "A", "Value": ""}]}, "InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive."),
        ]:
            with self.subTest(message):
                self.refuses(400, code, message, self.iam.create_role, **{"RoleName": "app", "AssumeRolePolicyDocument": trust, **arguments})
        self.role("App")
        taken = self.refuses(409, "EntityAlreadyExists", "Role with name aPP already exists.", self.iam.create_role, RoleName="aPP", AssumeRolePolicyDocument=trust)
        self.assertIsInstance(taken, self.iam.exceptions.EntityAlreadyExistsException)

    def test_principals_follow_what_they_name(self):
        caller = self.role("caller", trust=trusting(self.account))
        self.assertEqual(caller["AssumeRolePolicyDocument"], trusting(self.arn("root")))
        target = self.role("target", trust=trusting([caller["Arn"], self.account]))
        self.assertEqual(target["AssumeRolePolicyDocument"], trusting([caller["Arn"], self.arn("root")]))
        self.iam.delete_role(RoleName="caller")
        shown = self.iam.get_role(RoleName="target")["Role"]["AssumeRolePolicyDocument"]
        self.assertEqual(shown, trusting([caller["RoleId"], self.arn("root")]))
        self.role("caller")
        shown = self.iam.get_role(RoleName="target")["Role"]["AssumeRolePolicyDocument"]
        self.assertEqual(shown, trusting([caller["RoleId"], self.arn("root")]))

    def test_policies_of_a_role(self):
        self.role("app")
        mine = self.iam.create_policy(PolicyName="mine", Path="/team/", PolicyDocument=json.dumps(POLICY), Description="d", Tags=[{"Key": "a", "Value": "b"}])["Policy"]
        self.assertEqual((mine["Arn"], mine["AttachmentCount"], mine["DefaultVersionId"]), (self.arn("policy/team/mine"), 0, "v1"))
        for arn in (mine["Arn"], S3, S3):
            self.iam.attach_role_policy(RoleName="app", PolicyArn=arn)
        attached = self.iam.list_attached_role_policies(RoleName="app")["AttachedPolicies"]
        self.assertEqual({policy["PolicyArn"] for policy in attached}, {mine["Arn"], S3})
        in_team = self.iam.list_attached_role_policies(RoleName="app", PathPrefix="/team/")["AttachedPolicies"]
        self.assertEqual(in_team, [{"PolicyName": "mine", "PolicyArn": mine["Arn"]}])
        self.assertEqual(self.iam.get_policy(PolicyArn=mine["Arn"])["Policy"]["AttachmentCount"], 1)
        self.assertEqual(self.iam.get_policy_version(PolicyArn=mine["Arn"], VersionId="v1")["PolicyVersion"]["Document"], POLICY)
        self.assertEqual([role["RoleName"] for role in self.iam.list_entities_for_policy(PolicyArn=mine["Arn"])["PolicyRoles"]], ["app"])
        self.iam.put_role_policy(RoleName="app", PolicyName="inline", PolicyDocument=json.dumps(POLICY))
        self.assertEqual(self.iam.get_role_policy(RoleName="app", PolicyName="inline")["PolicyDocument"], POLICY)
        self.assertEqual(self.iam.list_role_policies(RoleName="app")["PolicyNames"], ["inline"])
        self.iam.create_instance_profile(InstanceProfileName="nodes")
        self.iam.add_role_to_instance_profile(InstanceProfileName="nodes", RoleName="app")
        self.assertEqual([profile["Roles"][0]["RoleName"] for profile in self.iam.list_instance_profiles_for_role(RoleName="app")["InstanceProfiles"]], ["app"])
        self.refuses(409, "DeleteConflict", "Cannot delete entity, must remove roles from instance profile first.", self.iam.delete_role, RoleName="app")
        self.iam.remove_role_from_instance_profile(InstanceProfileName="nodes", RoleName="app")
        self.refuses(409, "DeleteConflict", "Cannot delete entity, must detach all policies first.", self.iam.delete_role, RoleName="app")
        for arn in (mine["Arn"], S3):
            self.iam.detach_role_policy(RoleName="app", PolicyArn=arn)
        self.refuses(404, "NoSuchEntity", f"Policy {S3} was not found.", self.iam.detach_role_policy, RoleName="app", PolicyArn=S3)
        self.refuses(409, "DeleteConflict", "Cannot delete entity, must delete policies first.", self.iam.delete_role, RoleName="app")
        self.iam.delete_role_policy(RoleName="app", PolicyName="inline")
        self.iam.delete_role(RoleName="app")
        self.iam.delete_policy(PolicyArn=mine["Arn"])

    def test_refused_policies(self):
        self.role("app")
        absent = self.arn("policy/absent")
        self.refuses(404, "NoSuchEntity", f"Policy {absent} does not exist or is not attachable.", self.iam.attach_role_policy, RoleName="app", PolicyArn=absent)
        self.refuses(404, "NoSuchEntity", f"Scope ARN: {absent} does not exist or is not attachable.", self.iam.put_role_permissions_boundary, RoleName="app", PermissionsBoundary=absent)
        put = lambda document: {"RoleName": "app", "PolicyName": "p", "PolicyDocument": json.dumps(document)}
        self.refuses(400, "MalformedPolicyDocument", "Policy document should not specify a principal.", self.iam.put_role_policy, **put(TRUST))
        no_resource = {**POLICY, "Statement": [{"Effect": "Allow", "Action": "s3:GetObject"}]}
        self.refuses(400, "MalformedPolicyDocument", "Policy statement must contain resources.", self.iam.put_role_policy, **put(no_resource))
        long = {**POLICY, "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::" + "b" * 10240}]}
        self.refuses(409, "LimitExceeded", "Maximum policy size of 10240 bytes exceeded for role app", self.iam.put_role_policy, **put(long))
        policies = self.iam.list_policies(Scope="AWS", MaxItems=11)["Policies"]
        for policy in policies[:10]:
            self.iam.attach_role_policy(RoleName="app", PolicyArn=policy["Arn"])
        self.refuses(409, "LimitExceeded", "Cannot exceed quota for PoliciesPerRole: 10", self.iam.attach_role_policy, RoleName="app", PolicyArn=policies[10]["Arn"])

    def test_tags(self):
        self.role("app", Tags=[{"Key": "Team", "Value": "a"}])
        self.iam.tag_role(RoleName="app", Tags=[{"Key": "team", "Value": "b"}, {"Key": "cost center", "Value": "ü"}])
        self.assertEqual(self.iam.list_role_tags(RoleName="app")["Tags"], [{"Key": "cost center", "Value": "ü"}, {"Key": "team", "Value": "b"}])
        self.iam.untag_role(RoleName="app", TagKeys=["TEAM", "absent"])
        self.assertEqual(self.iam.get_role(RoleName="app")["Role"]["Tags"], [{"Key": "cost center", "Value": "ü"}])

    def test_versions_and_tags_of_a_policy(self):
        arn = self.iam.create_policy(PolicyName="mine", PolicyDocument=json.dumps(POLICY))["Policy"]["Arn"]
        for number in range(2, 6):
            version = self.iam.create_policy_version(PolicyArn=arn, PolicyDocument=json.dumps(POLICY), SetAsDefault=number == 3)["PolicyVersion"]
            self.assertEqual((version["VersionId"], version["IsDefaultVersion"]), (f"v{number}", number == 3))
        full = "A managed policy can have up to 5 versions. Before you create a new version, you must delete an existing version."
        self.refuses(409, "LimitExceeded", full, self.iam.create_policy_version, PolicyArn=arn, PolicyDocument=json.dumps(POLICY))
        self.refuses(409, "DeleteConflict", "Cannot delete the default version of a policy.", self.iam.delete_policy_version, PolicyArn=arn, VersionId="v3")
        self.iam.set_default_policy_version(PolicyArn=arn, VersionId="v5")
        self.iam.delete_policy_version(PolicyArn=arn, VersionId="v3")
        versions = self.iam.list_policy_versions(PolicyArn=arn)["Versions"]
        self.assertEqual([(version["VersionId"], version["IsDefaultVersion"]) for version in versions], [("v5", True), ("v4", False), ("v2", False), ("v1", False)])
        missing = f"Policy {arn} version v9 does not exist or is not attachable."
        self.refuses(404, "NoSuchEntity", missing, self.iam.get_policy_version, PolicyArn=arn, VersionId="v9")
        pattern = r"1 validation error detected: Value at 'versionId' failed to satisfy constraint: Member must satisfy regular expression pattern: v[1-9][0-9]*(\.[A-Za-z0-9-]*)?"
        self.refuses(400, "ValidationError", pattern, self.iam.set_default_policy_version, PolicyArn=arn, VersionId="9")
        self.iam.tag_policy(PolicyArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}])
        self.refuses(400, "InvalidInput", "Duplicate tag keys found.", self.iam.tag_policy, PolicyArn=arn, Tags=[{"Key": "a", "Value": "1"}] * 2)
        self.iam.untag_policy(PolicyArn=arn, TagKeys=["a"])
        self.assertEqual(self.iam.list_policy_tags(PolicyArn=arn)["Tags"], [{"Key": "A", "Value": "2"}])

    def test_pages(self):
        names = [f"role-{number:02}" for number in range(25)]
        for name in reversed(names):
            self.role(name, Path="/pages/")
        pages = list(self.iam.get_paginator("list_roles").paginate(PathPrefix="/pages/", PaginationConfig={"PageSize": 10}))
        self.assertEqual([len(page["Roles"]) for page in pages], [10, 10, 5])
        self.assertEqual([role["RoleName"] for page in pages for role in page["Roles"]], names)
        self.assertNotIn("role", pages[0]["Marker"])
        self.refuses(400, "ValidationError", "Invalid Marker.", self.iam.list_roles, Marker="made-up")
        self.refuses(400, "ValidationError", "Invalid Marker.", self.iam.list_policies, Marker=pages[0]["Marker"])
        every = [policy for page in self.iam.get_paginator("list_policies").paginate(Scope="AWS", PaginationConfig={"PageSize": 9}) for policy in page["Policies"]]
        arns = [policy["Arn"] for policy in every]
        self.assertEqual(len(arns), len(set(arns)))
        for name in ("AmazonEKSWorkerNodePolicy", "AmazonEKS_CNI_Policy", "CloudWatchAgentServerPolicy", "AmazonDynamoDBReadOnlyAccess", "AmazonSQSReadOnlyAccess", "service-role/AmazonEBSCSIDriverPolicy"):
            self.assertIn(f"arn:aws:iam::aws:policy/{name}", arns)

    def test_identity_providers(self):
        url = "https://oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF"
        arn = self.iam.create_open_id_connect_provider(Url=url, ClientIDList=["sts.amazonaws.com"])["OpenIDConnectProviderArn"]
        self.assertEqual(arn, self.arn("oidc-provider/" + url.removeprefix("https://")))
        shown = self.iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
        self.assertEqual((shown["Url"], shown["ClientIDList"], shown["Tags"]), (url.removeprefix("https://"), ["sts.amazonaws.com"], []))
        self.assertIn({"Arn": arn}, self.iam.list_open_id_connect_providers()["OpenIDConnectProviderList"])
        self.refuses(409, "EntityAlreadyExists", f"Provider with url {url} already exists.", self.iam.create_open_id_connect_provider, Url=url)
        self.iam.add_client_id_to_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="other")
        self.iam.remove_client_id_from_open_id_connect_provider(OpenIDConnectProviderArn=arn, ClientID="sts.amazonaws.com")
        self.iam.update_open_id_connect_provider_thumbprint(OpenIDConnectProviderArn=arn, ThumbprintList=["a" * 40])
        self.iam.tag_open_id_connect_provider(OpenIDConnectProviderArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "A", "Value": "2"}])
        self.iam.untag_open_id_connect_provider(OpenIDConnectProviderArn=arn, TagKeys=["a"])
        self.assertEqual(self.iam.list_open_id_connect_provider_tags(OpenIDConnectProviderArn=arn)["Tags"], [{"Key": "A", "Value": "2"}])
        shown = self.iam.get_open_id_connect_provider(OpenIDConnectProviderArn=arn)
        self.assertEqual((shown["ClientIDList"], shown["ThumbprintList"]), (["other"], ["a" * 40]))
        self.iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=arn)
        self.refuses(404, "NoSuchEntity", f"OpenIDConnect Provider not found for arn {arn}", self.iam.get_open_id_connect_provider, OpenIDConnectProviderArn=arn)

    def test_seeded_roles(self):
        role = {
            "RoleName": "AWSServiceRoleForAmazonEKS",
            "Path": "/aws-service-role/eks.amazonaws.com/",
            "AssumeRolePolicyDocument": {**TRUST, "Statement": [{**TRUST["Statement"][0], "Principal": {"Service": "eks.amazonaws.com"}}]},
            "Tags": {"a": "b"},
            "ManagedPolicyArns": [S3],
        }
        self.sandbox.control("POST", "seed", {"iam": {"AccountAliases": ["company"], "Roles": [role]}})
        shown = self.iam.get_role(RoleName=role["RoleName"])["Role"]
        self.assertEqual((shown["AssumeRolePolicyDocument"], shown["Tags"]), (role["AssumeRolePolicyDocument"], [{"Key": "a", "Value": "b"}]))
        self.assertEqual(self.iam.list_account_aliases()["AccountAliases"], ["company"])
        message = f"Cannot perform the operation on the protected role '{role['RoleName']}' - this role is only modifiable by AWS"
        refused = self.refuses(400, "UnmodifiableEntity", message, self.iam.detach_role_policy, RoleName=role["RoleName"], PolicyArn=S3)
        self.assertIsInstance(refused, self.iam.exceptions.UnmodifiableEntityException)

    def test_account_and_caller(self):
        self.assertEqual(self.iam.list_account_aliases()["AccountAliases"], [])
        caller = self.iam.get_user()["User"]
        self.assertEqual(caller["Arn"], self.arn(f"user/{caller['UserName']}"))
        allowed = self.iam.simulate_principal_policy(PolicySourceArn=caller["Arn"], ActionNames=["iam:PassRole", "eks:CreateAddon"])["EvaluationResults"]
        self.assertEqual([(result["EvalActionName"], result["EvalDecision"]) for result in allowed], [("iam:PassRole", "allowed"), ("eks:CreateAddon", "allowed")])
        role = self.role("app")
        self.iam.attach_role_policy(RoleName="app", PolicyArn=S3)
        decided = self.iam.simulate_principal_policy(PolicySourceArn=role["Arn"], ActionNames=["s3:GetObject", "s3:PutObject"], ResourceArns=["arn:aws:s3:::b/k"])
        self.assertEqual([result["EvalDecision"] for result in decided["EvaluationResults"]], ["allowed", "implicitDeny"])


if __name__ == "__main__":
    unittest.main()
