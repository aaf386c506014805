# Markdown for a pull request: terraform output -raw report
output "report" {
  value = data.podidentity_irsa_inventory.this.report_markdown
}
