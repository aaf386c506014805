terraform {
  required_version = ">= 1.3"

  required_providers {
    podidentity = {
      source = "registry.terraform.io/podidentity/podidentity"
    }
  }
}
